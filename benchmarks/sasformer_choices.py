"""Ablation over what the reconstruction of SASFormer leaves open, on SyntheticScenes.

Trains the same network from random weights with each choice in turn, from several seeds, and
appends a line of JSON per run. Where nothing else is said, a choice is that of CCASeg, the first
author's next decoder. Runs that the file already holds
are skipped, so the command can be interrupted and run again. Ends with a table.

Example:
    python benchmarks/sasformer_choices.py choices.jsonl --iterations 300 --seeds 0 1
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner

import segheads  # noqa: F401 (registers the head)

CONFIG = Path(__file__).parents[1] / 'local_configs/sasformer/B0/sasformer.b0.512x512.ade.160k.py'
SCENES = CONFIG.parents[2] / '_base_/datasets/synthetic_scenes.py'
CCASEG = dict(order='coarse_to_fine', source='chain', gate='none', additive=True)
GATE_ONLY = dict(gate='sigmoid', additive=False)
CHOICES = {
    'as in CCASeg': {},
    'order = fine_to_coarse': dict(order='fine_to_coarse'),
    'source = accumulate': dict(source='accumulate'),
    'gate = sigmoid': dict(gate='sigmoid'),
    'gate = hard_sigmoid': dict(gate='hard_sigmoid'),
    'additive = False': dict(additive=False),
    'gate = sigmoid, additive = False': GATE_ONLY,
    'the same, order = fine_to_coarse': dict(GATE_ONLY, order='fine_to_coarse'),
    'the same, source = accumulate': dict(GATE_ONLY, source='accumulate'),
}


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('results', type=Path, help='file of JSON lines to append to')
    parser.add_argument('--iterations', type=int, default=300)
    parser.add_argument('--batch', type=int, default=4, help='scenes of 192x256 per iteration')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1])
    options = parser.parse_args()
    setting = dict(iterations=options.iterations, batch=options.batch)
    for seed in options.seeds:
        for choice in CHOICES:
            run = dict(choice=choice, seed=seed, **setting)
            if not any(run.items() <= other.items() for other in read(options.results)):
                with options.results.open('a', encoding='utf-8') as file:
                    file.write(json.dumps(train(run)) + '\n')
    print(table([run for run in read(options.results) if setting.items() <= run.items()]))


def read(path: Path) -> list[dict]:
    """Reads the runs that a file of JSON lines holds."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def train(run: dict) -> dict:
    """Trains and evaluates once.

    Args:
        run (dict): ``choice``, ``seed``, ``iterations`` and ``batch``.

    Returns:
        dict: The same with the validation metrics in percent, the number of parameters of the
        head, and the minutes that it took.
    """
    cfg = Config.fromfile(CONFIG)
    # Replaced whole: what the two have in common would be merged otherwise.
    for name, value in Config.fromfile(SCENES).items():
        cfg[name] = value
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size = run['batch']
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackSegInputs'),
    ]
    cfg.model.data_preprocessor.size = (192, 256)
    cfg.model.backbone.init_cfg = None
    cfg.model.decode_head.update(num_classes=8, **{**CCASEG, **CHOICES[run['choice']]})
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01)
    )
    end = run['iterations']
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=1e-3, begin=0, end=20, by_epoch=False),
        dict(type='PolyLR', power=0.9, eta_min=0.0, begin=20, end=end, by_epoch=False),
    ]
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=end, val_interval=end)
    cfg.default_hooks.checkpoint = None
    cfg.default_hooks.logger = dict(type='LoggerHook', interval=50, log_metric_by_epoch=False)
    cfg.randomness = dict(seed=run['seed'])
    cfg.experiment_name = f'{run["choice"]} {run["seed"]} {time.time()}'
    # One without a folder: MMEngine keeps the first run's visualizer for all that follow.
    cfg.visualizer = dict(type='Visualizer', name='visualizer')
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        runner = Runner.from_cfg(cfg)
        runner.train()
    metrics = runner.message_hub
    return dict(
        run,
        mIoU=float(metrics.get_scalar('val/mIoU').current()),
        aAcc=float(metrics.get_scalar('val/aAcc').current()),
        head_parameters=sum(p.numel() for p in runner.model.decode_head.parameters()),
        minutes=round((time.monotonic() - start) / 60, 1),
    )


def table(runs: list[dict]) -> str:
    """Summarises runs as a Markdown table: per choice the spread over seeds, paired by seed."""
    start = {run['seed']: run['mIoU'] for run in runs if run['choice'] == 'as in CCASeg'}
    lines = [
        '| choice | mIoU per seed | mean | minus the first row, per seed |',
        '|---|---|---|---|',
    ]
    for choice in CHOICES:
        found = {run['seed']: run['mIoU'] for run in runs if run['choice'] == choice}
        if not found:
            continue
        gains = [f'{found[s] - start[s]:+.1f}' for s in sorted(found) if s in start]
        scores = ', '.join(f'{found[seed]:.1f}' for seed in sorted(found))
        mean = statistics.mean(found.values())
        lines.append(f'| {choice} | {scores} | {mean:.1f} | {", ".join(gains)} |')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
