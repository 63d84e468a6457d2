"""Train a segmentor.

The arguments are those of MMSegmentation's ``tools/train.py``, and MMEngine's Runner does the work.

Example:
    python tools/train.py local_configs/ccaseg/B0/ccaseg.b0.512x512.ade.160k.py
"""

import argparse
from collections.abc import Sequence

from mmengine.config import Config

from segheads.checkpoints import trust_checkpoints
from segheads.checkpoints.fit import check_checkpoint_file
from segheads.commands.command_line import add_common_arguments, build_runner, run_tool
from segheads.configs.loading import default_work_dir, load_config, require_keys
from segheads.configs.preflight import check_data, check_modules, check_pretrained
from segheads.mistakes import UserMistake
from segheads.training.compilation import request_compilation
from segheads.training.precision import choose_precision
from segheads.training.processes import check_launcher, local_rank, prepare_processes
from segheads.training.resumable_loop import use_resumable_loop
from segheads.training.resuming import latest_checkpoint
from segheads.training.saving import check_output_folder, save_atomically, set_last_checkpoint

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
    parser.add_argument(
        '--fine-tune',
        metavar='CHECKPOINT',
        help='start from all weights of a checkpoint but those of the classifiers, for other '
        'classes than it was trained for',
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
    if options.fine_tune:
        start_from_other_classes(cfg, options.fine_tune)

    check_modules(cfg)
    checkpoint = cfg.get('load_from')
    if checkpoint:
        check_checkpoint_file(checkpoint)
    elif cfg.resume:
        checkpoint = latest_checkpoint(cfg.work_dir)
    check_pretrained(cfg.model, checkpoint)
    check_data(cfg, ('train', 'val'), read_masks=local_rank() == 0)
    check_output_folder(cfg.work_dir)
    if cfg.resume and checkpoint and not cfg.get('load_from') and local_rank() == 0:
        # The Runner reads there what to resume from.
        set_last_checkpoint(cfg.work_dir, checkpoint)

    choose_precision(cfg, options.amp)
    save_atomically(cfg)
    use_resumable_loop(cfg)
    request_compilation(cfg, options.compile)
    prepare_processes(cfg)
    with trust_checkpoints(options.trust_checkpoint):
        build_runner(cfg).train()


def start_from_other_classes(cfg: Config, checkpoint: str) -> None:
    """Lets the run start from a checkpoint, but with new classifiers.

    Args:
        cfg (Config): The config of the run; it is changed in place.
        checkpoint (str): The checkpoint.

    Raises:
        UserMistake: If the run is to be resumed.
    """
    if cfg.resume:
        raise UserMistake(
            '--fine-tune starts a run and --resume continues one: to continue, leave --fine-tune '
            'out'
        )
    cfg.load_from = checkpoint
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='FineTuneHook')]


if __name__ == '__main__':
    run_tool(main)
