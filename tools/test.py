"""Test a segmentor: the metrics of its config, and on request class maps and overlays.

The arguments are those of MMSegmentation's ``tools/test.py``, and MMEngine's Runner does the work.
A checkpoint that leaves weights of the model random is refused unless ``--allow-partial`` is given.

Example:
    python tools/test.py local_configs/ccaseg/B0/ccaseg.b0.512x512.ade.160k.py iter_160000.pth
"""

import argparse
from collections.abc import Sequence

from mmengine.config import Config

from segheads.checkpoints import trust_checkpoints
from segheads.checkpoints.fit import check_checkpoint_file
from segheads.commands.command_line import add_common_arguments, build_runner, run_tool
from segheads.configs.loading import default_work_dir, load_config, require_keys
from segheads.configs.preflight import check_data, check_modules, forget_pretrained
from segheads.data.checks import leaf_datasets
from segheads.training.compilation import request_compilation
from segheads.training.processes import check_launcher, local_rank, prepare_processes

NEEDED = ('model', 'test_dataloader', 'test_cfg', 'test_evaluator')


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description='Test a segmentor')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
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
    add_common_arguments(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Tests as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.
    """
    options = parse_arguments(arguments)
    check_launcher(options.launcher, options.local_rank)
    cfg = load_config(options.config, options.cfg_options)
    require_keys(cfg, NEEDED)
    cfg.launcher = options.launcher
    cfg.work_dir = options.work_dir or cfg.get('work_dir') or default_work_dir(options.config)

    check_checkpoint_file(options.checkpoint)
    check_modules(cfg)
    check_data(cfg, ('test',), read_masks=local_rank() == 0)
    cfg.load_from = options.checkpoint
    cfg.resume = False
    forget_pretrained(cfg.model)
    if not options.allow_partial:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='CheckpointFitHook')]

    if options.show or options.show_dir:
        draw_overlays(cfg, options)
    if options.out:
        save_class_maps(cfg, options.out)
    request_compilation(cfg, options.compile)
    prepare_processes(cfg)
    if options.tta:
        augment(cfg)
    with trust_checkpoints(options.trust_checkpoint):
        build_runner(cfg).test()


def draw_overlays(cfg: Config, options: argparse.Namespace) -> None:
    """Turns on MMSegmentation's visualization hook, for every image unless the config says else."""
    require_keys(cfg, ('default_hooks', 'visualizer'))
    hook = dict(type='SegVisualizationHook', interval=1)
    hook.update(cfg.default_hooks.get('visualization') or {})
    cfg.default_hooks.visualization = dict(
        hook, draw=True, show=options.show, wait_time=options.wait_time
    )
    if options.show_dir:
        cfg.visualizer.save_dir = options.show_dir


def save_class_maps(cfg: Config, folder: str) -> None:
    """Lets the metric write its class maps, as submissions to test servers need them."""
    evaluators = cfg.test_evaluator
    for evaluator in evaluators if isinstance(evaluators, list) else [evaluators]:
        if evaluator.type == 'IoUMetric':
            evaluator.update(output_dir=folder, keep_results=True)


def augment(cfg: Config) -> None:
    """Puts the config's test-time augmentation around data and model."""
    require_keys(cfg, ('tta_model', 'tta_pipeline'))
    for _, dataset in leaf_datasets(cfg.test_dataloader.dataset, 'test_dataloader.dataset'):
        dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(cfg.tta_model, module=cfg.model)


if __name__ == '__main__':
    run_tool(main)
