"""CCASeg computes what its released code computes."""

import pytest
import torch
from golden import assert_matches, features, labels, load_case, released_state
from head_cases import HEADS
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

VARIANTS = {
    'ccaseg-b0-150': dict(in_channels=[32, 64, 160, 256]),
    'ccaseg-tiny-150': dict(
        in_channels=[64, 160, 256], in_index=[1, 2, 3], out_level=0, num_blocks=4
    ),
}


def build(case: str) -> nn.Module:
    """Build the head of a golden case, with its weights."""
    head = MODELS.build(
        dict(
            type='CCASegHead',
            channels=128,
            num_classes=150,
            dropout_ratio=0,
            loss_decode=dict(type='UpsampledCrossEntropyLoss'),  # as in the configs
            **VARIANTS[case],
        )
    )
    head.load_state_dict(released_state(head, head.released_keys.released_key))
    return head


@pytest.mark.parametrize('name', VARIANTS)
def test_training_matches_the_release(name: str) -> None:
    case, head = load_case(name), build(name).train()
    inputs = [x.requires_grad_() for x in features(case['input_shapes'])]
    label = labels(case['label_shape'], 150)

    logits = head(inputs)
    assert_matches(case, 'train_logits', logits, atol=1e-4)

    targets = [SegDataSample(gt_sem_seg=PixelData(data=one[None])) for one in label]
    losses = head.loss_by_feat(logits, targets)
    assert losses['loss_ce'].item() == pytest.approx(case['train']['loss'], abs=1e-5)
    assert losses['acc_seg'].item() == pytest.approx(case['train']['acc_seg'], abs=1e-4)

    losses['loss_ce'].backward()
    # A constant before a norm has no effect: its gradient is rounding noise.
    zero = set(case['train']['grad_norms_zero_in_exact_arithmetic'])
    for key, parameter in head.named_parameters():
        released = head.released_keys.released_key(key)
        norm, expected = parameter.grad.norm().item(), case['train']['grad_norms'][released]
        if released in zero:
            assert norm < 1e-6, key
        else:
            assert norm == pytest.approx(expected, rel=1e-3), key
    for x, expected in zip(inputs, case['train']['input_grad_norms'], strict=True):
        if expected is None:
            assert x.grad is None
        else:
            assert x.grad.norm().item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize('name', VARIANTS)
def test_evaluation_matches_the_release(name: str) -> None:
    case, head = load_case(name), build(name)
    inputs = features(case['input_shapes'])
    # The released head overflows with the running statistics of the golden weights; the case
    # replaces them by those of one pass over the inputs.
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        head.train()(inputs)
        head.eval()
        assert_matches(case, 'eval_logits', head(inputs), atol=1e-4)
        for kind in ('wide', 'odd'):
            inputs = features(case[f'{kind}_feature_shapes'], tag=kind)
            assert_matches(case, f'eval_logits_{kind}', head(inputs), atol=1e-3)


@pytest.mark.parametrize(
    ('widths', 'channels', 'arguments', 'parameters'),
    [
        ([32, 64, 160, 256], 128, {}, 2_896_278),
        ([64, 128, 320, 512], 256, {}, 10_898_070),
        ([64, 160, 256], 128, dict(in_index=[1, 2, 3], out_level=0, num_blocks=4), 3_253_174),
        ([128, 320, 512], 256, dict(in_index=[1, 2, 3], out_level=0), 9_982_614),
    ],
    ids=['MiT-B0', 'MiT-B1', 'MSCAN-T', 'MSCAN-S'],
)
def test_has_the_live_parameters_of_the_release(
    widths: list[int], channels: int, arguments: dict, parameters: int
) -> None:
    cfg = dict(type='CCASegHead', in_channels=widths, channels=channels, num_classes=150)
    head = MODELS.build({**cfg, **arguments})
    assert sum(p.numel() for p in head.parameters()) == parameters


def test_starts_like_the_release() -> None:
    head = MODELS.build(
        dict(type='CCASegHead', in_channels=[32, 64, 160, 256], channels=128, num_classes=150)
    )
    head.init_weights()
    # PyTorch's default: uniform within 1 / sqrt(fan_in), so with a third of its square as variance.
    assert head.conv_seg.weight.std().item() == pytest.approx((3 * 128) ** -0.5, rel=0.05)
    assert head.conv_seg.bias.abs().max() > 0
    assert head.bottleneck.conv.weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.05)


def test_the_stride_4_map_of_mscan_is_not_read() -> None:
    case = HEADS['ccaseg-mscan']
    head, inputs = case.build().eval(), case.inputs(1, 64, 64)
    other = [torch.full_like(inputs[0], float('nan')), *inputs[1:]]
    assert torch.equal(head(inputs), head(other))
