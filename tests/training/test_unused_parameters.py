"""Parts of a model that take no part in the loss, and several processes that train it."""

import multiprocessing
from pathlib import Path

import pytest
import torch
from head_cases import samples
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODEL_WRAPPERS, MODELS
from tiny_run import CONFIG
from torch import Tensor, distributed, nn

from segheads.configs.loading import load_config
from segheads.training.session import prepare
from segheads.training.unused_parameters import (
    UnusedParametersHook,
    agree_on_unused_parameters,
    allow_unused_parameters,
)

SWIN = dict(
    type='SwinTransformer',
    embed_dims=8,
    depths=[1] * 4,
    num_heads=[1] * 4,
    window_size=2,
    out_indices=(0, 1, 2, 3),
)
HRNET = dict(
    type='HRNet',
    norm_cfg=dict(type='BN'),
    extra={
        f'stage{stage + 1}': dict(
            num_modules=1,
            num_branches=stage + 1,
            block='BOTTLENECK' if stage == 0 else 'BASIC',
            num_blocks=[1] * (stage + 1),
            num_channels=[8] * (stage + 1),
        )
        for stage in range(4)
    },
)
MIT = dict(
    type='MixVisionTransformer',
    embed_dims=8,
    num_layers=[1] * 4,
    num_heads=[1] * 4,
    sr_ratios=[4, 4, 2, 1],
)
VIT = dict(
    type='VisionTransformer',
    img_size=64,
    embed_dims=8,
    num_layers=4,
    num_heads=1,
    out_indices=(0, 1, 2, 3),
)
FEATURES = dict(
    type='Feature2Pyramid', embed_dim=8, rescales=[4, 2, 1, 0.5], norm_cfg=dict(type='BN')
)


PCAA = dict(type='PCAAHead', bins=[(1, 1)])


def build(backbone: dict, head: dict, **parts: object) -> nn.Module:
    return MODELS.build(
        ConfigDict(
            type='LeanEncoderDecoder',
            backbone=backbone,
            decode_head=dict(head, channels=8, num_classes=3),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
            **parts,
        )
    )


@pytest.mark.parametrize(
    ('parts', 'layers'),
    [
        (dict(backbone=MIT, head=dict(PCAA, in_index=3)), []),
        (dict(backbone=SWIN, head=dict(PCAA, in_index=3)), [f'backbone.norm{n}' for n in range(3)]),
        (dict(backbone=dict(SWIN, out_indices=[3]), head=dict(PCAA, in_index=0)), []),
        (
            dict(backbone=HRNET, head=dict(PCAA, in_index=0)),
            [
                f'backbone.stage4.0.fuse_layers.{to}.{of}'
                for to in (1, 2, 3)
                for of in range(4)
                if of != to
            ],
        ),
        (
            dict(backbone=VIT, neck=FEATURES, head=dict(PCAA, in_index=3)),
            ['neck.upsample_2x', 'neck.upsample_4x'],
        ),
    ],
    ids=['all', 'swin', 'swin-of-one-map', 'hrnet', 'pyramid'],
)
def test_finds_what_takes_no_part_in_the_loss(parts: dict, layers: list) -> None:
    model = build(**parts)
    hook = UnusedParametersHook()
    hook.before_train(ConfigDict(model=model))
    loss, _ = model.parse_losses(model.loss(torch.zeros(2, 3, 64, 64), samples(2, 64, 64, 3)))
    optim_wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.1)))
    optim_wrapper.update_params(loss)
    found = set(layers)
    for name in hook.unused:
        (layer,) = (layer for layer in layers if name.startswith(f'{layer}.'))
        found.discard(layer)
    assert not found


def test_a_rehearsal_tells_of_unused_parameters_and_allows_for_them(workspace, capfd) -> None:
    Path('tiny.py').write_text(CONFIG)
    pcaa = dict(PCAA, _delete_=True, in_index=1, channels=8, num_classes=3)
    cfg = load_config('tiny.py', {'model.backbone.init_cfg': None, 'model.decode_head': pcaa})
    cfg.merge_from_dict(dict(work_dir='work', launcher='none', resume=False))
    prepare(cfg)
    assert cfg.find_unused_parameters is True
    told = capfd.readouterr()
    assert 'parameters take no part in the loss (backbone.layers.2' in told.out + told.err


@pytest.mark.parametrize(
    ('settings', 'where'),
    [
        (dict(), ()),
        (dict(model_wrapper_cfg=dict(broadcast_buffers=True)), ('model_wrapper_cfg',)),
        (
            dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel')),
            ('model_wrapper_cfg',),
        ),
    ],
)
def test_unused_parameters_are_allowed_for_where_the_wrapper_reads_it(
    settings: dict, where: tuple
) -> None:
    cfg = Config(settings)
    allow_unused_parameters(cfg, [])
    agree_on_unused_parameters(cfg)
    assert not cfg.model_wrapper_cfg.get('find_unused_parameters')

    cfg = Config(settings)
    allow_unused_parameters(cfg, ['backbone.norm0.weight', 'backbone.norm0.bias'])
    agree_on_unused_parameters(cfg)
    assert cfg.model_wrapper_cfg.find_unused_parameters is True
    assert cfg.model_wrapper_cfg.type == 'AgreeingDataParallel'
    buffers = settings.get('model_wrapper_cfg', dict()).get('broadcast_buffers', bool(where))
    assert cfg.model_wrapper_cfg.get('broadcast_buffers', True) is buffers


def test_a_wrapper_of_another_kind_stays() -> None:
    wrapper = dict(type='MMFullyShardedDataParallel')
    cfg = Config(dict(model_wrapper_cfg=wrapper))
    allow_unused_parameters(cfg, ['backbone.norm0.weight'])
    agree_on_unused_parameters(cfg)
    assert cfg.to_dict() == dict(model_wrapper_cfg=wrapper)


class Half(nn.Module):
    """A model of which one layer takes no part."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(1, 1), nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


def train_two_steps(rank: int, folder: Path) -> None:
    distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2
    )
    model = MODEL_WRAPPERS.build(
        dict(type='AgreeingDataParallel', find_unused_parameters=rank == 0),
        default_args=dict(module=Half()),
    )
    for _ in range(2):
        model(torch.full((1, 1), rank + 1.0)).sum().backward()
    (folder / str(rank)).write_text(f'{model.module.used.weight.grad.item()}')
    distributed.destroy_process_group()


def test_all_processes_look_for_unused_parameters_if_one_is_told_to(tmp_path) -> None:
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=train_two_steps, args=(r, tmp_path)) for r in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    # Twice the mean of 1 and 2.
    assert [(tmp_path / name).read_text() for name in '01'] == ['3.0', '3.0']
