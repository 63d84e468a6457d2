"""The five heads and four of MMSegmentation's on CamVid, behind the same encoder, by one recipe.

Trains each head behind EfficientNet-Lite0 with ImageNet weights, from several seeds, evaluates it
on the validation and on the test split, and appends a line of JSON per run: command, seed, date,
machine, versions, IoU of each class. Runs that the file already holds are skipped, and one that was
interrupted continues from its last checkpoint, so the command can be given again at any time.
`--times` measures predictions and training steps of all heads in turns instead, and `--write` puts
what the file holds into a page, between two comments.

Example:
    python -m benchmarks.camvid_heads --data data/camvid --seeds 0 1 2
    python -m benchmarks.camvid_heads --data data/camvid --times
    python -m benchmarks.camvid_heads --write docs/results.md
"""

import argparse
import datetime
import importlib.metadata
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

import segheads
from benchmarks.camvid_tables import read, write_tables
from benchmarks.gpu.camvid_training import shorten
from benchmarks.run import processor
from benchmarks.subjects import labels
from benchmarks.timing import measure
from benchmarks.workloads import Setting, Workload
from segheads.commands import run_and_exit
from segheads.configs.loading import load_config
from segheads.configs.pretrained import forget_pretrained
from segheads.mistakes import UserMistake
from segheads.report.evaluation import ModelOnData
from segheads.report.model_cost import model_cost
from segheads.training.session import train as run_training

RESULTS = Path(__file__).parent / 'results' / 'camvid_heads.jsonl'
# Whose recipe, encoder and data all have; only the head is replaced.
RECIPE = 'sasformer_lite0_camvid'
OURS = {
    'CCASeg': 'ccaseg_lite0_camvid',
    'SASFormer': 'sasformer_lite0_camvid',
    'CCSNet': 'ccsnet_lite0_camvid',
    'CGRSeg': 'cgrseg_lite0_camvid',
    'PCAA': 'pcaa_lite0_camvid',
}
# In the widths of MMSegmentation's configs for encoders of this size. UPerHead stands there behind
# large encoders only; its usual 512 channels would be sixteen times the work.
MMSEG = {
    'SegformerHead': dict(in_index=[0, 1, 2, 3], channels=256),
    'LightHamHead': dict(
        in_index=[1, 2, 3],
        channels=256,
        ham_channels=256,
        norm_cfg=dict(type='GN', num_groups=32),
        ham_kwargs=dict(MD_S=1, MD_R=16, train_steps=6, eval_steps=7, inv_t=100, rand_init=True),
    ),
    'FCNHead': dict(in_index=3, channels=512, num_convs=2),
    'UPerHead': dict(in_index=[0, 1, 2, 3], channels=128, pool_scales=(1, 2, 3, 6)),
}
HEADS = (*OURS, *MMSEG)
IMAGE, CROP = (360, 480), (192, 256)
PACKAGES = ('torch', 'timm', 'mmengine', 'mmsegmentation', 'numpy', 'opencv-python')


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--results', type=Path, default=RESULTS, help='file of JSON lines')
    parser.add_argument('--data', type=Path, help='folder of CamVid, as docs/datasets.md says')
    parser.add_argument('--heads', nargs='+', choices=HEADS, default=HEADS, metavar='HEAD')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--iterations', type=int, default=1000)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--workers', type=int, default=2, help='processes that read images')
    parser.add_argument('--work-dir', type=Path, default=Path('runs/camvid_heads'))
    parser.add_argument('--times', action='store_true', help='measure times, and train nothing')
    parser.add_argument('--write', type=Path, metavar='PAGE', help='only write what there is')
    options = parser.parse_args(arguments)
    if options.write:
        write_tables(options.write, read(options.results), HEADS)
        return
    if options.data is None or not (options.data / 'images' / 'test').is_dir():
        raise UserMistake(f'{options.data} is no folder of CamVid; name it by --data')
    if options.times:
        append(options.results, times(options.heads))
        return
    for seed in options.seeds:
        for head in options.heads:
            run = dict(kind='run', head=head, seed=seed, iterations=options.iterations)
            if not any(run.items() <= other.items() for other in read(options.results)):
                append(options.results, train(run, options))


def append(path: Path, line: dict) -> None:
    """Appends a line to a file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('a', encoding='utf-8') as file:
        file.write(json.dumps(line) + '\n')


def config_of(head: str) -> Config:
    """Makes the config of a head: ours as it is, another one in the place of ours.

    Args:
        head (str): One of ``HEADS``.

    Returns:
        Config: The config of a whole run.
    """
    if head in OURS:
        return load_config(OURS[head])
    cfg = load_config(RECIPE)
    # Without widths, which the segmentor takes from the encoder.
    cfg.model.decode_head = dict(
        type=head,
        num_classes=cfg.model.decode_head.num_classes,
        dropout_ratio=cfg.model.decode_head.dropout_ratio,
        loss_decode=cfg.model.decode_head.loss_decode,
        align_corners=False,
        **{'norm_cfg': cfg.model.decode_head.norm_cfg, **MMSEG[head]},
    )
    return cfg


def train(run: dict, options: argparse.Namespace) -> dict:
    """Trains a head by `segheads train` and evaluates it on both splits.

    Args:
        run (dict): ``head``, ``seed`` and ``iterations``.
        options (Namespace): The command line.

    Returns:
        dict: The same with scores in percent, cost, and how it came about.

    Raises:
        UserMistake: If something is wrong with the data.
        Interrupted: If a signal ends the training; the next call continues it.
    """
    folder = options.work_dir / f'{run["head"]}-{run["iterations"]}-seed{run["seed"]}'
    folder.mkdir(parents=True, exist_ok=True)
    cfg = config_of(run['head'])
    if cfg.train_cfg.max_iters != run['iterations']:
        shorten(cfg, run['iterations'])
    cfg.train_cfg.val_interval = run['iterations']
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=100, max_keep_ckpts=1
    )
    cfg.randomness = dict(seed=run['seed'])
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = str(options.data)
        cfg[f'{split}_dataloader'].update(
            num_workers=options.workers, persistent_workers=options.workers > 0
        )
    config = folder / 'config.py'
    cfg.dump(config)
    is_whole = not (folder / 'last_checkpoint').exists()
    torch.set_num_threads(options.threads)
    start = time.monotonic()
    run_training(str(config), work_dir=str(folder), resume=True)
    minutes = round((time.monotonic() - start) / 60, 1)
    checkpoint = folder / f'iter_{run["iterations"]}.pth'
    return dict(
        run,
        command=command_of(run, options),
        **{split: evaluate(cfg, checkpoint, split) for split in ('val', 'test')},
        cost=cost_of(cfg),
        # Of the training; unknown where it was interrupted.
        minutes=minutes if is_whole else None,
        threads=options.threads,
        **circumstances(),
    )


def cost_of(cfg: Config) -> dict:
    """Counts parameters, and the multiply-adds of a prediction."""
    cost = model_cost(cfg.model, IMAGE)
    return dict(
        parameters=cost.parameters,
        head_parameters=cost.head_parameters,
        multiply_adds=cost.multiply_adds,
    )


def command_of(run: dict, options: argparse.Namespace) -> str:
    """Writes the command of one run, without the paths of a machine."""
    return (
        f'python -m benchmarks.camvid_heads --data data/camvid --heads {run["head"]} '
        f'--seeds {run["seed"]} --iterations {run["iterations"]} --threads {options.threads} '
        f'--workers {options.workers}'
    )


def evaluate(cfg: Config, checkpoint: Path, split: str) -> dict:
    """Evaluates a checkpoint on whole images.

    Args:
        cfg (Config): The config of the run.
        checkpoint (Path): Its checkpoint.
        split (str): 'val' or 'test'.

    Returns:
        dict: 'mIoU' and 'aAcc' in percent, and 'IoU', that of each class by name.
    """
    cfg = cfg.copy()
    folders = {'img_path': f'images/{split}', 'seg_map_path': f'annotations/{split}'}
    cfg.val_dataloader.dataset.data_prefix = folders
    model = ModelOnData(cfg, checkpoint)
    found = model.evaluate(None, lambda indices: indices)
    correct = found.confusion.diagonal().sum() / found.confusion.sum()
    names = model.dataset.metainfo['classes']
    return dict(
        mIoU=float(np.nanmean(found.class_ious)),
        aAcc=float(100 * correct),
        IoU=dict(zip(names, map(float, found.class_ious), strict=True)),
    )


def times(heads: Sequence[str], seconds: float = 120, rounds: tuple[int, int] = (3, 25)) -> dict:
    """Times all heads in turns, by the CPU time of one thread, which other jobs disturb least.

    Args:
        heads (Sequence[str]): Which ones.
        seconds (float): After about so long no further round begins, for either kind of work.
        rounds (tuple[int, int]): Least and largest number of rounds.

    Returns:
        dict: By head the median and quartiles in ms of a prediction, from a tensor to the class map
        of 360x480, and of a training step, 8 crops of 192x256 forward and backward.
    """
    init_default_scope('mmseg')
    models, costs = {}, {}
    for head in heads:
        cfg = config_of(head)
        costs[head] = cost_of(cfg)
        forget_pretrained(cfg.model)
        models[head] = revert_sync_batchnorm(MODELS.build(cfg.model))
    measured = {}
    for name, workload in (('prediction', prediction), ('training_step', training_step)):
        work = {head: workload(model) for head, model in models.items()}
        found = measure(work, Setting(), seconds, rounds)
        measured[name] = {head: values['milliseconds'] for head, values in found.items()}
    return dict(kind='times', cost=costs, **measured, **circumstances())


def prediction(model: nn.Module) -> Workload:
    """Predicts the class map of an image."""
    data = dict(inputs=[torch.zeros(3, *IMAGE, dtype=torch.uint8)], data_samples=None)
    data['data_samples'] = labels(1, IMAGE, 11)

    def run() -> None:
        model.eval()
        with torch.inference_mode():
            model.test_step(data)

    return run


def training_step(model: nn.Module) -> Workload:
    """Computes the gradients of a batch as the recipe has it."""
    inputs, samples = torch.zeros(8, 3, *CROP), labels(8, CROP, 11)

    def run() -> None:
        model.train().zero_grad()
        model.parse_losses(model.loss(inputs, samples))[0].backward()

    return run


def circumstances() -> dict:
    """Notes when and on what something was measured."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return dict(
        date=datetime.date.today().isoformat(),
        machine=processor(),
        versions=dict(versions, python=platform.python_version(), segheads=segheads.__version__),
    )


if __name__ == '__main__':
    run_and_exit(main)
