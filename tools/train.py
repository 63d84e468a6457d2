"""Train a segmentor.

The arguments are those of MMSegmentation's ``tools/train.py``, and MMEngine's Runner does the work.

Example:
    python tools/train.py local_configs/ccaseg/B0/ccaseg.b0.512x512.ade.160k.py
"""

import argparse
from collections.abc import Sequence

from segheads.engine.checkpoint_fit import check_checkpoint_file, latest_checkpoint
from segheads.engine.command_line import add_common_arguments, build_runner, run_tool
from segheads.engine.configuration import default_work_dir, load_config, require_keys
from segheads.engine.environment import check_launcher, local_rank, prepare_processes
from segheads.engine.optim_wrapper import choose_precision
from segheads.engine.preflight import check_data, check_modules, check_pretrained

NEEDED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description='Train a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the latest checkpoint in the work directory',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    add_common_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.
    """
    options = parse_arguments(arguments)
    check_launcher(options.launcher, options.local_rank)
    cfg = load_config(options.config, options.cfg_options)
    require_keys(cfg, NEEDED)
    cfg.launcher = options.launcher
    cfg.work_dir = options.work_dir or cfg.get('work_dir') or default_work_dir(options.config)
    cfg.resume = options.resume

    check_modules(cfg)
    checkpoint = cfg.get('load_from')
    if checkpoint:
        check_checkpoint_file(checkpoint)
    elif cfg.resume:
        checkpoint = latest_checkpoint(cfg.work_dir)
    check_pretrained(cfg.model, checkpoint)
    check_data(cfg, ('train', 'val'), read_masks=local_rank() == 0)

    choose_precision(cfg, options.amp)
    prepare_processes(cfg)
    build_runner(cfg).train()


if __name__ == '__main__':
    run_tool(main)
