"""Heads hand logits at low resolution to whom asks for them, and nothing else changes."""

import pytest
import torch
from head_cases import HEADS, HeadCase, samples
from largest_tensor import LargestTensor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from segheads.heads.low_resolution import KEEP_LOW_RESOLUTION, mmseg_loss_by_feat

SIZE = (70, 90)
UPSAMPLED = dict(type='UpsampledCrossEntropyLoss', loss_weight=0.4)
ORDINARY = dict(type='CrossEntropyLoss', loss_weight=0.4)


def fcn_head(**arguments: object) -> BaseDecodeHead:
    torch.manual_seed(0)
    head = MODELS.build(
        dict(type='FCNHead', in_channels=8, in_index=0, channels=4, num_convs=1, num_classes=5)
        | dict(concat_input=False, norm_cfg=dict(type='BN'), dropout_ratio=0)
        | arguments
    )
    return head.double()


def losses_and_gradients(head: nn.Module, *arguments: object) -> dict[str, Tensor]:
    torch.manual_seed(0)  # for the dropout
    losses = head.loss(*arguments, samples(2, *SIZE, num_classes=5), None)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    gradients = {name: p.grad for name, p in head.named_parameters() if p.grad is not None}
    return {name: value.double() for name, value in (losses | gradients).items()}


@pytest.mark.parametrize('case', HEADS.values(), ids=HEADS.keys())
def test_losses_of_every_head(case: HeadCase) -> None:
    """Training is the same with one loss and the other."""
    inputs = ([x.double() for x in case.inputs(2, *SIZE)],)
    if 'CCSNet' in case.cfg['type']:
        inputs += (inputs[0][-2][:, :5],)
    upsampled, ordinary = (
        losses_and_gradients(case.build(loss_decode=loss).double().train(), *inputs)
        for loss in (UPSAMPLED, ORDINARY)
    )
    assert 'acc_seg' in ordinary
    torch.testing.assert_close(upsampled, ordinary, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    'sampler',
    [
        None,
        dict(type='OHEMPixelSampler', thresh=0.3, min_kept=500),
        dict(type='OHEMPixelSampler', min_kept=500),
    ],
)
def test_losses_beside_others_and_behind_a_sampler(
    sampler: dict | None, align_corners: bool
) -> None:
    inputs = [x.double() for x in HEADS['pcaa'].inputs(2, *SIZE)]
    named = [dict(loss_name='loss_ce'), dict(loss_name='loss_ce'), dict(loss_name='loss_aux')]
    upsampled, ordinary = (
        losses_and_gradients(
            fcn_head(
                sampler=sampler,
                align_corners=align_corners,
                loss_decode=[
                    loss | name for loss, name in zip((first, ORDINARY, first), named, strict=True)
                ],
            ),
            inputs,
        )
        for first in (UPSAMPLED, ORDINARY)
    )
    assert {'loss_ce', 'loss_aux', 'acc_seg'} <= set(ordinary)
    torch.testing.assert_close(upsampled, ordinary, rtol=1e-6, atol=1e-12)


def test_other_losses_are_left_to_mmseg() -> None:
    head = fcn_head(loss_decode=[ORDINARY, dict(type='DiceLoss')])
    logits = torch.randn(2, 5, 18, 23, dtype=torch.float64)
    targets = samples(2, *SIZE, num_classes=5)
    expected = mmseg_loss_by_feat(head, logits, targets)
    assert set(expected) == {'loss_ce', 'loss_dice', 'acc_seg'}
    torch.testing.assert_close(head.loss_by_feat(logits, targets), expected, rtol=0, atol=0)


@pytest.mark.parametrize('loss_type', ['UpsampledCrossEntropyLoss', 'OHEMCrossEntropyLoss'])
def test_heads_never_upsample(loss_type: str) -> None:
    head = fcn_head(loss_decode=dict(type=loss_type), num_classes=40).float()
    inputs = [torch.randn(2, 8, 32, 32)]
    with LargestTensor() as largest:
        losses = head.loss(inputs, samples(2, 256, 256, num_classes=40), None)
        losses['loss_ce'].backward()
    assert largest.values < 2 * 40 * 256 * 256 / 15


def test_predictions_are_resized_unless_the_segmentor_does_that() -> None:
    head = fcn_head().eval()
    inputs = [torch.randn(1, 8, 18, 23, dtype=torch.float64)]
    meta = dict(img_shape=SIZE)
    assert head.predict(inputs, [meta], None).shape == (1, 5, *SIZE)
    kept = head.predict(inputs, [meta | {KEEP_LOW_RESOLUTION: True}], None)
    assert torch.equal(kept, head(inputs))
