"""How many images per second the data pipeline delivers, and how many the training step takes."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.gpu.parts import Options, Write
from benchmarks.gpu.results import read_rows
from benchmarks.gpu.training_steps import FIRST

NUM_IMAGES = 32
SIZE = (512, 683)
CROP = (512, 512)
BATCH = 16


def run(options: Options, write: Write) -> None:
    """Load batches as in a training on ADE20K, with several numbers of workers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    workers = sorted({0} if options.dry_run else {1, 4, min(8, cores), cores})
    fastest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), 2 if options.dry_run else NUM_IMAGES)
        for number in workers:
            rate = images_per_second(Path(folder), number, options.dry_run)
            write({'case': f'pipeline, {number} workers of {cores} cores', 'images/s': rate})
            fastest = max(fastest, rate)
    for row in read_rows(options.out, 'training_steps'):
        if row.get('way') == 'ours' and 'images/s' in row and row['case'].startswith(FIRST):
            waits = 'the GPU for data' if row['images/s'] > fastest else 'the data for the GPU'
            case = f'training step, {row["case"]}, {row["precision"]}'
            write({'case': case, 'images/s': row['images/s'], 'waits': waits})


def write_photographs(folder: Path, number: int) -> None:
    """Write JPEGs as hard to decode as photographs, and label maps."""
    generator = np.random.default_rng(0)
    for index in range(number):
        coarse = generator.integers(0, 255, (SIZE[0] // 16, SIZE[1] // 16, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(SIZE[::-1], Image.Resampling.BICUBIC)
        noisy = np.asarray(image) + generator.normal(0, 8, (*SIZE, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f'{index}.jpg')
        labels = Image.fromarray((coarse[..., 0] % 150).astype(np.uint8))
        labels.resize(SIZE[::-1], Image.Resampling.NEAREST).save(folder / f'{index}.png')


def images_per_second(folder: Path, workers: int, dry_run: bool) -> float:
    """Measure after the first batches, which wait for the workers to start.

    Args:
        folder (Path): The images and label maps.
        workers (int): Number of processes that load; 0 for this one.
        dry_run (bool): Whether two small batches do.
    """
    dataset = DATASETS.build(
        dict(
            type='BaseSegDataset',
            data_prefix=dict(img_path=str(folder), seg_map_path=str(folder)),
            metainfo=dict(classes=[str(index) for index in range(150)]),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0),
                     keep_ratio=True),
                dict(type='RandomCrop', crop_size=CROP, cat_max_ratio=0.75),
                dict(type='RandomFlip', prob=0.5),
                dict(type='PhotoMetricDistortion'),
                dict(type='PackSegInputs'),
            ],
        )
    )  # fmt: skip
    batch = 2 if dry_run else BATCH
    first, measured = (0, 2) if dry_run else (max(4, workers), 16)
    loader = DataLoader(
        dataset,
        batch_sampler=_batches(len(dataset), batch, first + measured),
        num_workers=workers,
        collate_fn=pseudo_collate,
        pin_memory=not dry_run,
    )
    batches = iter(loader)
    for _ in range(first):
        next(batches)
    start = time.perf_counter()
    for _ in range(measured):
        next(batches)
    return batch * measured / (time.perf_counter() - start)


def _batches(length: int, batch: int, number: int) -> Sequence[list[int]]:
    indices = np.random.default_rng(0).integers(0, length, (number, batch))
    return indices.tolist()
