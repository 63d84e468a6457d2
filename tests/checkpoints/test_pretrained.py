"""Pretrained weights that fit nothing, or in part, are told before the first iteration."""

import pytest
import torch
from mmengine.registry import WEIGHT_INITIALIZERS
from mmseg.registry import MODELS
from nvidia_mit import in_nvidias_names
from tiny_run import command, sentence

from segheads.checkpoints.pretrained import check_pretrained_fit, pretrained_parts

MIT = dict(
    type='MixVisionTransformer',
    embed_dims=8,
    num_layers=[1] * 4,
    num_heads=[1] * 4,
    sr_ratios=[8, 4, 2, 1],
)


def encoder():
    torch.manual_seed(0)
    return MODELS.build(MIT)


def check(part, weights, prefix=None):
    check_pretrained_fit(part, weights, 'model.backbone', 'file.pth', prefix)


def test_what_fits_passes_with_a_surplus_and_with_a_prefix():
    weights = encoder().state_dict()
    check(encoder(), {**weights, 'head.weight': torch.ones(2, 2)})
    check(encoder(), {f'backbone.{name}': value for name, value in weights.items()}, 'backbone.')


def test_nothing_fits():
    told = sentence(check, encoder(), {'segformer.encoder.block.0.weight': torch.ones(8, 8)})
    assert 'nothing in the pretrained weights file.pth of model.backbone fits' in told
    assert 'segformer.encoder.block.0.weight' in told and 'model.backbone.init_cfg=None' in told


def test_a_whole_segmentor_needs_its_prefix():
    weights = {f'backbone.{name}': value for name, value in encoder().state_dict().items()}
    told = sentence(check, encoder(), {**weights, 'decode_head.conv_seg.weight': torch.ones(1)})
    total = len(weights)
    assert f"below the prefix 'backbone.' {total} of {total} weights do" in told
    assert "set prefix='backbone.' in model.backbone.init_cfg" in told


def test_what_fits_in_part_is_counted_by_group():
    weights = encoder().state_dict()
    del weights['layers.0.0.projection.weight'], weights['layers.3.2.bias']
    weights['layers.1.0.projection.weight'] = torch.ones(3)
    told = sentence(check, encoder(), weights)
    assert 'fit in part only' in told and 'lacks layers 2 of' in told and '--allow-partial' in told


def test_an_encoder_that_loads_by_itself_is_judged_by_its_values():
    swin = dict(
        type='SwinTransformer', embed_dims=8, depths=[1] * 4, num_heads=[1] * 4, window_size=2
    )
    part = MODELS.build(swin)
    check(part, {f'other.{i}': value for i, value in enumerate(part.state_dict().values())})
    assert 'nothing in the pretrained' in sentence(check, part, {'a': torch.full((3,), 7.0)})


def test_all_pretrained_weights_of_a_model_are_found():
    init = dict(type='Pretrained', checkpoint='a.pth', prefix='backbone.')
    model = dict(
        pretrained='b.pth',
        backbone=dict(init_cfg=init),
        decode_head=[dict(init_cfg=[dict(type='Normal'), dict(type='Pretrained', checkpoint='c')])],
    )
    assert list(pretrained_parts(model)) == [
        ('model.backbone', 'b.pth', None),
        ('model.backbone', 'a.pth', 'backbone.'),
        ('model.decode_head.0', 'c', None),
    ]
    assert 'Pretrained' in WEIGHT_INITIALIZERS


@pytest.mark.parametrize('names', ['ours', "NVIDIA's"])
def test_training_accepts_them_and_refuses_others(names, workspace):
    weights = encoder().state_dict()
    torch.save(in_nvidias_names(encoder()) if names != 'ours' else weights, 'mit.pth')
    torch.save({'x.weight': torch.ones(3)}, 'other.pth')
    option = 'model.backbone.init_cfg.checkpoint='
    command('train')(['tiny.py', '--cfg-options', f'{option}mit.pth', 'train_cfg.max_iters=1'])
    arguments = ['tiny.py', '--cfg-options', f'{option}other.pth']
    assert 'nothing in the pretrained' in sentence(command('train'), arguments)
    command('train')([*arguments, 'train_cfg.max_iters=1', '--allow-partial'])


def test_load_from_must_fit(workspace):
    options = ['--cfg-options', 'model.backbone.init_cfg=None', 'train_cfg.max_iters=1']
    command('train')(['tiny.py', *options])
    checkpoint = torch.load('work_dirs/tiny/iter_1.pth', weights_only=True)
    for name, shape in dict(weight=(7, 8, 1, 1), bias=(7,)).items():
        checkpoint['state_dict'][f'decode_head.conv_seg.{name}'] = torch.ones(shape)
    torch.save(checkpoint, 'a.pth')
    told = sentence(command('train'), ['tiny.py', *options, 'load_from=a.pth'])
    assert 'the checkpoint has 7 classes, the config 3' in told and '--fine-tune' in told
    command('train')(['tiny.py', '--allow-partial', *options, 'load_from=a.pth'])
