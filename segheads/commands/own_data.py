"""The part of `segheads train` that trains on a folder of images and masks."""

import argparse
import math

from segheads.mistakes import UserMistake

from .arguments import config_options, positive
from .launching import launch_here

LENGTHS = ('minutes', 'epochs', 'iterations')
# Arguments that mean the same behind --data and behind the config that it writes.
SWITCHES = ('amp', 'compile', 'skip_damaged', 'verbose', 'trust_checkpoint', 'allow_partial')


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that go with ``--data``.

    Args:
        parser (argparse.ArgumentParser): The parser of the command.
    """
    parser.add_argument(
        '--data',
        metavar='FOLDER',
        help='in place of a config: what `segheads import` wrote, or a folder with images/ and '
        'annotations/ or masks/',
    )
    parser.add_argument(
        '--model',
        metavar='NAME',
        help='with --data: the network, such as ccaseg_b0; by default one that suits the device',
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        '--minutes', type=_above_zero, metavar='N', help='with --data: train for about that time'
    )
    length.add_argument(
        '--epochs', type=positive, metavar='N', help='with --data: passes through the images'
    )
    length.add_argument('--iterations', type=positive, metavar='N', help='with --data: batches')


def check_data_arguments(options: argparse.Namespace) -> None:
    """Checks that there is either a config or data.

    Args:
        options (argparse.Namespace): The arguments of the command.

    Raises:
        UserMistake: If there are both or neither, if arguments of the one come with the other, or
            if something else started processes of this one.
    """
    given = [name for name in ('model', *LENGTHS) if getattr(options, name) is not None]
    if options.data is None and options.config is None:
        raise UserMistake(
            'name a config to train by, or give the folder of your images and masks by --data'
        )
    if options.data is None and given:
        raise UserMistake(
            f'--{given[0]} goes with --data; a config says it itself, and `--cfg-options` changes '
            'that, such as `--cfg-options train_cfg.max_iters=1000`'
        )
    if options.data is not None and options.config is not None:
        raise UserMistake(
            f'--data {options.data} chooses a config, and {options.config} is one: give one of '
            'them (a network is named by --model)'
        )
    if options.data is not None and options.launcher != 'none':
        raise UserMistake(
            '--data starts its own processes, by --processes N; for those that --launcher '
            f'{options.launcher} started, train by the config that it writes'
        )


def train_on_data(options: argparse.Namespace) -> None:
    """Trains on ``--data`` as the command line says.

    Args:
        options (argparse.Namespace): The arguments of the command.
    """
    from segheads.own_data import training
    from segheads.own_data.choices import Length

    def launch(config: object, overrides: dict[str, object]) -> None:
        switches = [f'--{name.replace("_", "-")}' for name in SWITCHES if getattr(options, name)]
        arguments = ['train', str(config), *switches, f'--channels-last={options.channels_last}']
        arguments += ['--no-rehearsal'] if options.no_rehearsal else []
        arguments += ['--resume'] if options.resume else []
        arguments += ['--fine-tune', options.fine_tune] if options.fine_tune else []
        if settings := [*(options.cfg_options or ()), *_written(overrides)]:
            arguments += ['--cfg-options', *settings]
        launch_here(options.processes, arguments)

    training.train_on_data(
        options.data,
        options.work_dir,
        model=options.model,
        length=Length(options.minutes, options.epochs, options.iterations),
        fine_tune=options.fine_tune,
        resume=options.resume,
        processes=options.processes,
        launch=launch,
        cfg_options=config_options(options) if options.processes == 1 else None,
        mixed_precision=options.amp,
        compiled=options.compile,
        channels_last=options.channels_last,
        allow_partial=options.allow_partial,
        trusted=options.trust_checkpoint,
        verbose=options.verbose,
        skip_damaged=options.skip_damaged,
        rehearsed=not options.no_rehearsal,
    )


def _written(overrides: dict[str, object]) -> list[str]:
    return [f'{key}={value}' for key, value in overrides.items()]


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'must be a number above 0, but is {text!r}')
    return value
