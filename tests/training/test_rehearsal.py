"""What would fail after hours fails before the first iteration, and leaves no trace."""

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny_run import CONFIG, FROM_SCRATCH, forget_visualizers, sentence

from segheads.configs.loading import load_config
from segheads.mistakes import UserMistake
from segheads.training.failures import sentence_of_failure, told_by_key
from segheads.training.session import prepare
from segheads_command import as_function

SCHEDULED = f"{CONFIG}\nparam_scheduler = [dict(type='PolyLR', end=2, by_epoch=False)]\n"
train = as_function('train')


def refusal(*options: str) -> str:
    """Returns the sentence that a changed config is refused by, before a Runner is built."""
    Path('tiny.py').write_text(SCHEDULED)
    told = sentence(train, ['tiny.py', *FROM_SCRATCH, *options])
    assert not list(Path('work_dirs').rglob('*.log')), 'the run had begun'
    return told


@pytest.mark.parametrize(
    'option, told',
    [
        ('optim_wrapper.optimizer.learning_rate=0.1', 'optim_wrapper.optimizer.learning_rate'),
        ('optim_wrapper.optimizer.type=Adamw', 'did you mean AdamW?'),
        ('optim_wrapper.accumulative_count=2', 'did you mean accumulative_counts?'),
        ('val_evaluator.metrics=mIoU', 'there is iou_metrics'),
        ('val_evaluator.iou_metrics=IoU', 'val_evaluator (IoUMetric) fails'),
        ('default_hooks.checkpoint.save_bests=mIoU', 'did you mean save_best'),
        ('default_hooks.checkpoint.save_best=miou', 'did you mean mIoU?'),
        ('default_hooks.logger.interval=often', 'default_hooks.logger (LoggerHook) fails'),
        ('train_cfg.max_iter=5', 'did you mean max_iters'),
        ('train_cfg.max_iters=many', 'train_cfg'),
        ('train_dataloader.samples_per_gpu=2', 'there is batch_size'),
        ('train_dataloader.batch_size=two', 'train_dataloader fails'),
        ('train_dataloader.sampler.shufle=True', 'did you mean shuffle?'),
        ('train_dataloader.dataset.img_dir=a', 'data_prefix=dict(img_path=...)'),
        ('train_dataloader.dataset.pipeline.2.crop=8', 'did you mean crop_size?'),
        ('train_dataloader.dataset.pipeline.2.type=RandomCropp', 'did you mean RandomCrop'),
        ('train_dataloader.dataset.pipeline.2.type=Collect', 'today it is PackSegInputs'),
        ('train_dataloader.dataset.pipeline.2.crop_size=[0,0]', 'RandomCrop'),
        ('param_scheduler.0.min_lr=0', 'there is eta_min'),
        ('model.decode_head.loss_decode.weight=1', 'loss_decode.weight'),
        ('model.data_preprocessor.mean=[1,2]', 'data_preprocessor'),
        ('val_dataloader=None', 'val_cfg and val_evaluator is not'),
        ('train_cfg.val_interval=0', 'val_interval is 0, but must be a whole number above 0'),
        ('train_cfg.max_iters=-1', 'max_iters is -1, but must be'),
        ('train_dataloader.prefetch_factor=2', 'there are no workers'),
        ('val_dataloader.prefetch_factor=two', "prefetch_factor is 'two', but must be"),
        ('test_evaluator=None', 'test_dataloader and test_cfg is not'),
        ('randomness.sed=3', 'did you mean seed?'),
        ('randomness.deterministic=True', 'randomness has no seed'),
        ('train_dataloader.dataset=None', 'train_dataloader has no dataset'),
        ('train_cfg.max_epochs=3', 'max_iters=2 and max_epochs=3'),
        ('evaluation.interval=5', 'today it is train_cfg.val_interval'),
        ('param_schedulers=1', 'did you mean param_scheduler?'),
    ],
)
def test_a_mistake_is_told_before_the_run_begins(workspace, option, told):
    assert told in refusal(option)


def test_an_epoch_that_never_ends(workspace):
    Path('epochs.py').write_text(
        SCHEDULED.replace("type='IterBasedTrainLoop', max_iters=2, val_interval=2", 'max_epochs=1')
    )
    told = sentence(train, ['epochs.py', *FROM_SCRATCH])
    assert 'never ends with train_dataloader.sampler.type=InfiniteSampler' in told


def write_image(split: str, height: int, width: int) -> None:
    """Write a black image of a size in place of the first one of a split."""
    for folder, shape in (('images', (height, width, 3)), ('annotations', (height, width))):
        cv2.imwrite(f'data/{folder}/{split}/0.png', np.zeros(shape, np.uint8))


def test_a_batch_of_several_sizes(workspace):
    write_image('val', 50, 60)
    told = refusal('val_dataloader.batch_size=2')
    assert 'of val_dataloader have several sizes, 40x48 and 50x60; set val_dataloader.b' in told


def test_an_image_that_is_too_small(workspace):
    write_image('val', 20, 20)
    told = refusal()
    assert told.startswith('the image data/images/val/0.png is too small') and '20x20' in told


@pytest.mark.parametrize(
    'change, told',
    [
        (
            "for part in (train_dataloader, val_dataloader): part['dataset']['metainfo'] = None",
            'val_dataloader.dataset has no class names',
        ),
        (
            "val_dataloader['dataset']['pipeline'] = [dict(type='LoadImageFromFile'), "
            "dict(type='PackSegInputs')]",
            'the pipeline of val_dataloader.dataset loads no masks',
        ),
        (
            "visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='ClearML"
            "VisBackend')])",
            'visualizer.vis_backends.0 (ClearMLVisBackend) fails with ImportError',
        ),
    ],
)
def test_what_validation_and_records_need(workspace, change, told):
    Path('changed.py').write_text(f'{SCHEDULED}\n{change}\n')
    assert told in sentence(train, ['changed.py', *FROM_SCRATCH])


def scalars(folder: str) -> list[dict]:
    file = max(Path(folder).glob('2*/vis_data/scalars.json'))
    lines = map(json.loads, file.read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in ('time', 'data_time')} for line in lines]


def test_a_rehearsed_run_equals_one_without_bit_for_bit(workspace):
    options = [*FROM_SCRATCH, 'randomness.seed=5', 'train_cfg.max_iters=3']
    for folder, extra in (('rehearsed', []), ('plain', ['--no-rehearsal'])):
        forget_visualizers()
        train(['tiny.py', '--work-dir', folder, *extra, *options])
    saved = [torch.load(f'{name}/iter_3.pth', weights_only=True) for name in ('rehearsed', 'plain')]
    for name, value in saved[1]['state_dict'].items():
        assert torch.equal(saved[0]['state_dict'][name], value), name
    assert scalars('rehearsed') == scalars('plain')
    files = [
        {path.name for path in Path(name).iterdir() if path.is_file()}
        for name in ('rehearsed', 'plain')
    ]
    assert files[0] == files[1]


def test_a_rehearsal_draws_no_random_number_of_the_process(workspace):
    cfg = load_config('tiny.py', dict([('model.backbone.init_cfg', None)]))
    cfg.merge_from_dict(dict(work_dir='work', launcher='none', resume=False))
    random.seed(1)
    torch.manual_seed(1)
    expected = random.random(), torch.rand(1)
    random.seed(1)
    torch.manual_seed(1)
    prepare(cfg)
    assert (random.random(), torch.rand(1)) == expected


def test_an_error_is_told_by_the_part_that_it_comes_from(cfg):
    try:
        raise KeyError('deep inside')
    except KeyError as error:
        told = sentence_of_failure(error, cfg)
    assert "KeyError: 'deep inside'" in told and '--no-rehearsal' in told


def mutate(cfg, generator: random.Random) -> str:
    """Renames a key, removes one, or changes the type of its value; says what it did."""
    nodes = []

    def walk(node, key):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for name, child in items:
            nodes.append((node, name, f'{key}.{name}'))
            if isinstance(child, (dict, list)):
                walk(child, f'{key}.{name}')

    walk(cfg._cfg_dict, 'cfg')
    node, name, key = generator.choice([each for each in nodes if each[1] != 'custom_imports'])
    kind = generator.choice(['rename', 'remove', 'retype'])
    if kind == 'rename' and isinstance(node, dict):
        node[f'{name}x'] = node.pop(name)
    elif kind == 'remove' and isinstance(node, dict):
        node.pop(name)
    else:
        kind = 'retype'
        node[name] = generator.choice(['text', -3, 2.5, None, [1], {'a': 1}, True])
    return f'{kind} {key}'


@pytest.mark.parametrize('seed', range(24))
def test_no_change_of_a_config_ends_in_a_traceback(workspace, seed):
    generator = random.Random(seed)
    Path('tiny.py').write_text(SCHEDULED)
    cfg = load_config('tiny.py', dict([('model.backbone.init_cfg', None)]))
    cfg.merge_from_dict(dict(work_dir='work', launcher='none', resume=False))
    what = mutate(cfg, generator)
    try:
        with told_by_key(cfg):
            prepare(cfg)
    except UserMistake as mistake:
        assert '\n' not in str(mistake) and len(str(mistake)) > 20, what
