"""A network, a config and data on disk that are as small as a whole run allows."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from mmengine.visualization import Visualizer
from PIL import Image

from segheads.mistakes import UserMistake
from segheads_command import as_function

ROOT = Path(__file__).resolve().parents[1]

CONFIG = """
custom_imports = dict(imports=['segheads'], allow_failed_imports=False)
default_scope = 'mmseg'
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='LeanEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True,
        pad_val=0, seg_pad_val=255, size=(32, 32)),
    backbone=dict(
        type='MixVisionTransformer', embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4,
        sr_ratios=[8, 4, 2, 1],
        init_cfg=dict(type='Pretrained', checkpoint='ckpt/mit_b0_20220624-7e0fe6dd.pth')),
    decode_head=dict(
        type='CCASegHead', in_channels=[8] * 4, in_index=[0, 1, 2, 3], channels=8, num_blocks=1,
        out_level=1, dropout_ratio=0.1, num_classes=3, norm_cfg=norm_cfg, align_corners=False,
        loss_decode=dict(type='UpsampledCrossEntropyLoss', loss_weight=1.0)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

dataset = dict(
    type='BaseSegDataset', data_root='data', img_suffix='.png', seg_map_suffix='.png',
    metainfo=dict(
        classes=('ground', 'wall', 'sky'), palette=[[90, 60, 30], [160] * 3, [120, 180, 240]]))
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data_prefix=dict(img_path='images/train', seg_map_path='annotations/train'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=(32, 32)),
            dict(type='PackSegInputs'),
        ],
        **dataset))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(img_path='images/val', seg_map_path='annotations/val'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
        **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')],
    ]),
]

optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2),
    visualization=dict(type='SegVisualizationHook'))
log_processor = dict(by_epoch=False)
vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='SegLocalVisualizer', vis_backends=vis_backends, name='visualizer')
env_cfg = dict(dist_cfg=dict(backend='nccl'))
"""

FROM_SCRATCH = ['--cfg-options', 'model.backbone.init_cfg=None']


def write_workspace(folder: Path) -> Path:
    """Writes ``tiny.py`` and ``data/`` (4 training, 2 validation images) into a folder."""
    (folder / 'tiny.py').write_text(CONFIG)
    generator = np.random.default_rng(0)
    for split, count in (('train', 4), ('val', 2)):
        images = folder / 'data' / 'images' / split
        masks = folder / 'data' / 'annotations' / split
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(count):
            labels = np.sort(generator.integers(0, 3, size=(40, 48)), axis=0).astype(np.uint8)
            labels[:2] = 255
            image = np.repeat(labels[..., None] % 3 * 80, 3, axis=2)
            Image.fromarray(image).save(images / f'{index}.png')
            Image.fromarray(labels).save(masks / f'{index}.png')
    return folder


def forget_visualizers() -> None:
    """MMEngine keeps one visualizer per process, with the folder of the first run."""
    for visualizer in (Visualizer, *Visualizer.__subclasses__()):
        visualizer._instance_dict.clear()


def command(name: str) -> Callable[[list[str]], None]:
    """Returns a command as a function; training without the rehearsal, which has its own tests."""
    run = as_function(name)
    if name != 'train':
        return run
    return lambda arguments: run([*arguments[:1], '--no-rehearsal', *arguments[1:]])


def load_tool(name: str) -> ModuleType:
    """Imports a script of ``tools/`` without running it."""
    spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / 'tools' / f'{name}.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def sentence(function: Callable, *arguments: Any, **settings: Any) -> str:
    """Returns the one sentence that a mistake is answered by."""
    with pytest.raises(UserMistake) as mistake:
        function(*arguments, **settings)
    text = str(mistake.value)
    assert '\n' not in text
    return text
