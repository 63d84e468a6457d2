"""Folding batch norms changes no output."""

import pytest
import torch
from head_cases import HEADS, HeadCase
from mmseg.registry import MODELS
from test_contract import calibrated, forward
from tiny_run import sentence
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import segheads

# What applies a norm between layers that are no convolutions keeps it.
KEPT = {
    # Its input goes around the norm too.
    'MSCAN': {f'block{i}.0.norm1' for i in range(1, 5)},
}
BACKBONES = {
    'ResNet-18': dict(type='ResNetV1c', depth=18, base_channels=8, stem_channels=8),
    'ResNet-50': dict(type='ResNet', depth=50, base_channels=4, stem_channels=8),
    'MSCAN': dict(
        type='MSCAN', embed_dims=[8, 8, 16, 16], depths=[1] * 4, norm_cfg=dict(type='BN')
    ),
    'EfficientFormerV2': dict(type='EfficientFormerV2', arch='S0'),
}


def randomise(model: nn.Module) -> nn.Module:
    """Draw what a batch norm learns and counts, which would else be ones and zeros."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    return model


def batch_norms(model: nn.Module) -> set[str]:
    """List the batch norms that a model has."""
    return {name for name, module in model.named_modules() if isinstance(module, _BatchNorm)}


@pytest.mark.parametrize('case', HEADS.values(), ids=HEADS.keys())
@torch.no_grad()
def test_a_head_computes_the_same_without_its_batch_norms(case: HeadCase) -> None:
    inputs = case.inputs(2, 65, 90)
    head = calibrated(randomise(case.build()), inputs)
    before = batch_norms(head)
    expected = forward(head, inputs)
    fused = segheads.fuse(head)
    assert not batch_norms(fused)
    torch.testing.assert_close(forward(fused, inputs), expected, rtol=1e-5, atol=1e-5)
    # The head itself is as it was.
    assert batch_norms(head) == before
    assert torch.equal(forward(head, inputs), expected)


@pytest.mark.parametrize('name', BACKBONES)
@torch.no_grad()
def test_a_backbone_computes_the_same(name: str) -> None:
    backbone = randomise(MODELS.build(BACKBONES[name]))
    image = torch.randn(2, 3, 64, 96)
    for _ in range(3):
        backbone(image)
    backbone.eval()
    expected = backbone(image)
    fused = segheads.fuse(backbone)
    assert batch_norms(fused) == KEPT.get(name, set())
    for output, map_ in zip(fused(image), expected, strict=True):
        torch.testing.assert_close(output, map_, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_a_convolution_with_padding_does_not_take_over_the_norm_before_it() -> None:
    model = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)).eval()
    model[0].running_mean.fill_(1)
    assert batch_norms(segheads.fuse(model)) == {'0'}


@torch.no_grad()
def test_grouped_convolutions_take_over_the_norm_before_them() -> None:
    model = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1, groups=2, bias=False)).double()
    x = torch.randn(3, 4, 5, 5).double()
    randomise(model)(x)
    fused = segheads.fuse(model.eval())
    assert not batch_norms(fused)
    torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-14)


def test_a_batch_norm_in_training_cannot_be_folded() -> None:
    head = HEADS['ccaseg-mit'].build().eval()
    head.bottleneck.train()
    assert 'call model.eval() first' in sentence(segheads.fuse, head)
