"""Arguments that several commands share; importing this imports nothing slow."""

import argparse
from typing import Any

from segheads.mistakes import UserMistake
from segheads.weights.bundled import bundled_weights


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that MMSegmentation's training and testing tools share, and `--verbose`.

    Args:
        parser (argparse.ArgumentParser): The parser of a command.
    """
    parser.add_argument(
        '--work-dir', metavar='FOLDER', help='where logs, metrics and checkpoints are written'
    )
    add_config_options(parser)
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the networks by torch.compile; it takes minutes before it saves time',
    )
    parser.add_argument(
        '--skip-damaged',
        action='store_true',
        help='read all images and masks first, and go on without those that are damaged',
    )
    parser.add_argument(
        '--verbose', action='store_true', help="print MMEngine's whole log, not only write it"
    )
    add_trust_argument(parser)
    add_launcher_arguments(parser)


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds a config and its checkpoint; see :func:`checkpoint_of`.

    Args:
        parser (argparse.ArgumentParser): The parser of a command.
    """
    parser.add_argument('config', help='config file, or a name such as ccaseg_b0_ade20k')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='checkpoint file; may be left out where the package brings the model',
    )


def checkpoint_of(options: argparse.Namespace) -> str:
    """Returns the checkpoint that was given, or the one that comes with the package.

    Args:
        options (argparse.Namespace): The arguments of a command.

    Raises:
        UserMistake: If there is neither.
    """
    checkpoint = options.checkpoint or bundled_weights(options.config)
    if checkpoint is None:
        raise UserMistake(f'{options.config} is a config; give a checkpoint behind it')
    return str(checkpoint)


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say what started the processes of a run.

    Args:
        parser (argparse.ArgumentParser): The parser of a command.
    """
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes of a distributed run',
    )
    # Old launchers pass it; torchrun, Slurm and MPI set variables instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, help=argparse.SUPPRESS)


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that overrides settings of the config; see :func:`config_options`.

    Args:
        parser (argparse.ArgumentParser): The parser of a command.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=_setting,
        metavar='KEY=VALUE',
        help='settings of the config to override, e.g. model.decode_head.num_classes=19; lists '
        'are written key="[a,b]" or key=a,b, without spaces',
    )


def config_options(options: argparse.Namespace) -> dict[str, Any] | None:
    """Reads the values of ``--cfg-options`` as MMSegmentation's tools do.

    Args:
        options (argparse.Namespace): The arguments of a command.

    Returns:
        dict[str, Any] | None: Values by dotted key; None if none were given.

    Raises:
        UserMistake: If a list or tuple is not closed.
    """
    from mmengine.config import DictAction

    if options.cfg_options is None:
        return None
    parser = argparse.ArgumentParser()
    parser.add_argument('settings', nargs='+', action=DictAction)
    try:
        return parser.parse_args(['--', *options.cfg_options]).settings
    except AssertionError as error:
        raise UserMistake(
            f'--cfg-options: {error}; write lists as key="[a,b]" and tuples as key="(a,b)"'
        ) from error


def add_device_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for the device that models run on.

    Args:
        parser (argparse.ArgumentParser): The parser of a command.
    """
    parser.add_argument('--device', help='such as cpu or cuda:1; by default a GPU if there is one')


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the argument for checkpoints that hold more than weights.

    Its effect is :func:`segheads.checkpoints.trust_checkpoints`, in which the command then runs.

    Args:
        parser (argparse.ArgumentParser): The parser of a command that reads checkpoints.
    """
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read checkpoints that might run code too; only for files whose author you trust',
    )


def positive(text: str) -> int:
    """Parses an integer of 1 or more."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'must be an integer of 1 or more, but is {text!r}')
    return int(text)


def share(text: str) -> float:
    """Parses a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'must be a number from 0 to 1, but is {text!r}')
    return value


def _setting(text: str) -> str:
    if '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form KEY=VALUE')
    return text
