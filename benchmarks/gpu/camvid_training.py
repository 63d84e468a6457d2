"""A short training of each head on CamVid, under autocast, from random weights."""

import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from PIL import Image

from benchmarks.gpu.parts import Options, SkippedPart, Write
from segheads.configs.loading import load_config
from segheads.training.memory_format import request_channels_last
from segheads.training.precision import choose_precision

CONFIGS = Path(__file__).resolve().parents[2] / 'local_configs'
PATTERN = '**/*camvid*1k*cpu.py'
ITERATIONS = 300


def run(options: Options, write: Write) -> None:
    """Train head after head, and write what each has learned."""
    folder, iterations = options.camvid, ITERATIONS
    if options.dry_run:
        folder, iterations = options.out / 'camvid', 1
        write_tiny_camvid(folder)
    if folder is None:
        raise SkippedPart('no folder of CamVid was given (--camvid)')
    if not (folder / 'images' / 'train').is_dir():
        raise SkippedPart(f'{folder} has no folder images/train')
    configs = sorted(CONFIGS.glob(PATTERN))
    for path in configs[:1] if options.dry_run else configs:
        try:
            write(dict(config=path.stem, **train(path, folder, iterations, options)))
        except Exception as error:  # the next head may train
            write(dict(config=path.stem, note=f'{type(error).__name__}: {error}'[:200]))


def train(path: Path, folder: Path, iterations: int, options: Options) -> dict[str, float]:
    """Train one head.

    Args:
        path (Path): Its config.
        folder (Path): CamVid.
        iterations (int): Number of training steps.
        options (Options): How.

    Returns:
        dict[str, float]: Time of a step, loss at the end, and scores on the validation images.
    """
    cfg = load_config(str(path))
    shorten(cfg, iterations)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        cfg[name].dataset.data_root = str(folder)
        if options.dry_run:
            cfg[name].update(num_workers=0, persistent_workers=False)
    if options.dry_run:
        cfg.train_dataloader.batch_size = 2
    cfg.launcher, cfg.work_dir = 'none', str(options.out / 'camvid_runs' / path.stem)
    cfg.randomness = dict(seed=0)
    choose_precision(cfg, mixed=True)
    request_channels_last(cfg, 'auto')
    start = time.perf_counter()
    runner = Runner.from_cfg(cfg)
    runner.train()
    scores = MessageHub.get_current_instance().log_scalars
    row = dict(
        iterations=iterations,
        seconds=time.perf_counter() - start,
        loss=scores['train/loss'].mean(20),
        mIoU=float(scores['val/mIoU'].current()),
        aAcc=float(scores['val/aAcc'].current()),
    )
    del runner
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    return row


def shorten(cfg: Config, iterations: int) -> None:
    """Scale the schedule of a config to a number of iterations, and save nothing."""
    whole = cfg.train_cfg.max_iters
    cfg.train_cfg.update(max_iters=iterations, val_interval=iterations)
    for schedule in cfg.param_scheduler:
        begin = schedule.begin * iterations // whole
        schedule.update(begin=begin, end=max(schedule.end * iterations // whole, begin + 2))
    cfg.default_hooks.checkpoint = None


def write_tiny_camvid(folder: Path) -> None:
    """Write a data set with the layout of CamVid and two images in each split."""
    generator = np.random.default_rng(0)
    for split in ('train', 'val', 'test'):
        for kind, suffix, high in (('images', 'jpg', 256), ('annotations', 'png', 11)):
            target = folder / kind / split
            target.mkdir(parents=True, exist_ok=True)
            for index in range(2):
                shape = (48, 64, 3) if kind == 'images' else (48, 64)
                values = generator.integers(0, high, shape, dtype=np.uint8)
                Image.fromarray(values).save(target / f'{index}.{suffix}')
