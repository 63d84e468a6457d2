"""Train a model, by a config or on a folder of your own images and masks.

With --data the network, its settings and the length are chosen, said, and written as a config into
the work directory. Besides, the arguments are those of MMSegmentation's tools/train.py, and
MMEngine's Runner does the work. Ctrl-C ends training after the current iteration with a checkpoint;
--resume continues.

Example:
    segheads train --data data/mine --minutes 30
    segheads train ccaseg_b0_synthetic_demo
"""

import argparse

from .arguments import add_run_arguments, config_options, positive
from .launching import launch_here
from .own_data import add_data_arguments, check_data_arguments, train_on_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('config', nargs='?', help='config file, or a name such as ccaseg_b0_ade20k')
    add_data_arguments(parser)
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the latest checkpoint in the work directory',
    )
    parser.add_argument(
        '--fine-tune',
        metavar='CHECKPOINT',
        help='start from all weights of a checkpoint but those of the classifiers, for other '
        'classes than it was trained for',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--channels-last',
        choices=['auto', 'on', 'off'],
        default='auto',
        help='keep the channels of maps last in memory; auto measures on a GPU, with --amp, '
        'whether that is faster',
    )
    parser.add_argument(
        '--processes',
        type=positive,
        default=1,
        metavar='N',
        help='train in N processes on this machine: one per GPU, or on the CPU',
    )
    parser.add_argument(
        '--allow-partial',
        action='store_true',
        help='accept pretrained weights and a load_from that leave weights of the model random',
    )
    parser.add_argument(
        '--no-rehearsal',
        action='store_true',
        help='do not go through the run in small before it starts',
    )
    add_run_arguments(parser)


def check_arguments(options: argparse.Namespace) -> None:
    """Checks what argparse cannot, before anything slow is imported.

    Raises:
        UserMistake: If a config and ``--data`` are both given or both missing, or if arguments of
            the one come with the other.
    """
    check_data_arguments(options)


def run(options: argparse.Namespace) -> None:
    """Trains as the command line says."""
    if options.data is not None:
        train_on_data(options)
        return
    if options.processes > 1 and options.launcher == 'none':
        launch_here(options.processes, options.arguments)
        return
    from segheads.training.session import train

    train(
        options.config,
        work_dir=options.work_dir,
        cfg_options=config_options(options),
        resume=options.resume,
        fine_tune=options.fine_tune,
        mixed_precision=options.amp,
        compiled=options.compile,
        channels_last=options.channels_last,
        allow_partial=options.allow_partial,
        launcher=options.launcher,
        local_rank=options.local_rank,
        trusted=options.trust_checkpoint,
        verbose=options.verbose,
        skip_damaged=options.skip_damaged,
        rehearsed=not options.no_rehearsal,
    )
