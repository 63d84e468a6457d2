"""MiT attends as MMSegmentation's does, without the matrix of its weights."""

import pytest
import torch
from largest_tensor import LargestTensor
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn

# Of the first stage, whose every second pixel per side is attended to.
WEIGHTS = (16 * 24) * (8 * 12)


def build(segmentor: str, dropout: float) -> nn.Module:
    """Build a segmentor around a tiny MiT, the same with every type."""
    init_default_scope('mmseg')
    backbone = dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_layers=[1] * 4,
        num_heads=[1, 2, 4, 4],
        sr_ratios=[2, 2, 1, 1],
        attn_drop_rate=dropout,
    )
    head = dict(type='FCNHead', in_channels=32, in_index=3, channels=8, num_classes=3)
    torch.manual_seed(0)
    return MODELS.build(dict(type=segmentor, backbone=backbone, decode_head=head)).double()


def encode(model: nn.Module) -> tuple[tuple[Tensor, ...], list[Tensor], int]:
    """Return the maps, the gradients of all parameters, and the size of the largest tensor."""
    image = torch.linspace(-1, 1, 3 * 64 * 96, dtype=torch.float64).view(1, 3, 64, 96)
    torch.manual_seed(0)
    with LargestTensor() as watcher:
        maps = model.backbone(image)
        sum(x.pow(3).sum() for x in maps).backward()
    return maps, [parameter.grad for parameter in model.backbone.parameters()], watcher.values


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('dropout', [0, 0.2])
def test_attends_as_mmsegmentation_does(training: bool, dropout: float) -> None:
    maps, gradients, largest = encode(build('EncoderDecoder', dropout).train(training))
    assert largest >= WEIGHTS
    our_maps, our_gradients, our_largest = encode(
        build('LeanEncoderDecoder', dropout).train(training)
    )
    torch.testing.assert_close(our_maps, maps)
    torch.testing.assert_close(our_gradients, gradients)
    # PyTorch's CPU kernel has no dropout.
    assert our_largest <= WEIGHTS / 2 or (training and dropout)


def test_keeps_the_parameters() -> None:
    plain, lean = (build(name, 0) for name in ('EncoderDecoder', 'LeanEncoderDecoder'))
    assert list(lean.state_dict()) == list(plain.state_dict())
