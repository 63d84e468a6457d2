"""Test a model: the metrics of its config, and on request class maps and overlays.

The arguments are those of MMSegmentation's tools/test.py, and MMEngine's Runner does the work. A
checkpoint that leaves weights of the model random is refused unless --allow-partial is given.

Example:
    segheads test ccaseg_b0_ade20k iter_160000.pth --out class_maps
"""

import argparse

from .arguments import add_model_arguments, add_run_arguments, checkpoint_of, config_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    add_model_arguments(parser)
    parser.add_argument('--out', metavar='FOLDER', help='save the predicted class maps as PNG')
    parser.add_argument('--show', action='store_true', help='show overlays in a window')
    parser.add_argument('--show-dir', metavar='FOLDER', help='save overlays as pictures')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds that --show shows each overlay'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--allow-partial',
        action='store_true',
        help='accept a checkpoint that lacks weights of the model, and leave these random',
    )
    parser.add_argument(
        '--eval',
        nargs='+',
        type=_metric,
        metavar='mIoU',
        help="accepted from MMSegmentation 0.x: the config's metric is computed in any case",
    )
    add_run_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Tests as the command line says."""
    from segheads.training.testing import test

    test(
        options.config,
        checkpoint_of(options),
        work_dir=options.work_dir,
        cfg_options=config_options(options),
        out=options.out,
        show=options.show,
        show_dir=options.show_dir,
        wait_time=options.wait_time,
        augmented=options.tta,
        allow_partial=options.allow_partial,
        compiled=options.compile,
        launcher=options.launcher,
        local_rank=options.local_rank,
        trusted=options.trust_checkpoint,
        verbose=options.verbose,
        skip_damaged=options.skip_damaged,
    )


def _metric(text: str) -> str:
    if text != 'mIoU':
        raise argparse.ArgumentTypeError(
            f'{text!r} is chosen in the config today, not here: set '
            "test_evaluator.iou_metrics there, of 'mIoU', 'mDice' and 'mFscore'; of MMSegmentation "
            "0.x's values only mIoU is accepted"
        )
    return text
