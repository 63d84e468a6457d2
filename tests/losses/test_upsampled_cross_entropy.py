"""The loss agrees with up-sampling and MMSegmentation's cross entropy, and never up-samples."""

import json
from pathlib import Path

import pytest
import torch
from largest_tensor import LargestTensor
from mmseg.models.losses import CrossEntropyLoss, accuracy
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.layers import tiled_resize
from segheads.layers.tiled_resize import bilinear_tiles
from segheads.losses import UpsampledCrossEntropyLoss

CLASSES = 5


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled_resize, 'CPU_TILE_VALUES', CLASSES * 11**2)
    bilinear_tiles.cache_clear()
    yield
    bilinear_tiles.cache_clear()


def build(**arguments: object) -> nn.Module:
    return MODELS.build(dict(type='UpsampledCrossEntropyLoss', **arguments))


def batch(
    classes: int = CLASSES,
    size: tuple[int, int] = (6, 9),
    label_size: tuple[int, int] = (41, 50),
    dtype: torch.dtype = torch.float64,
    ignored: float = 0.2,
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, classes, *size, dtype=dtype, generator=generator)
    labels = torch.randint(0, classes, (2, *label_size), generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < ignored] = 255
    return logits.requires_grad_(), labels


def ordinary(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = 255,
    align_corners: bool = False,
    **arguments: object,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, accuracy and gradient as in a head of MMSegmentation."""
    loss_decode = MODELS.build(dict(type='CrossEntropyLoss', **arguments))
    logits = logits.detach().clone().requires_grad_()
    upsampled = resize(logits, labels.shape[1:], mode='bilinear', align_corners=align_corners)
    loss = loss_decode(upsampled, labels, weight=weight, ignore_index=ignore_index)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.detach(), accuracy(upsampled, labels, ignore_index=ignore_index), gradient


def assert_same(
    loss_decode: nn.Module, logits: Tensor, labels: Tensor, expected: tuple, **settings: object
) -> None:
    loss, percentage = loss_decode.loss_and_accuracy(logits, labels, **settings)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(loss.detach(), expected[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(percentage.float(), expected[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected[2], rtol=1e-9, atol=1e-15)


@pytest.mark.usefixtures('small_tiles')
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('avg_non_ignore', [False, True])
@pytest.mark.parametrize('label_size', [(48, 72), (41, 50), (6, 9), (3, 20)])
def test_agrees_with_the_ordinary_path(
    label_size: tuple[int, int], avg_non_ignore: bool, align_corners: bool
) -> None:
    logits, labels = batch(label_size=label_size)
    arguments = dict(avg_non_ignore=avg_non_ignore, loss_weight=0.4)
    expected = ordinary(logits, labels, align_corners=align_corners, **arguments)
    assert_same(build(**arguments), logits, labels, expected, align_corners=align_corners)


@pytest.mark.usefixtures('small_tiles')
@pytest.mark.parametrize(
    ('avg_non_ignore', 'ignore_index'), [(False, 255), (True, 255), (True, 0), (True, 3)]
)
def test_agrees_with_class_weights(avg_non_ignore: bool, ignore_index: int) -> None:
    # MMSegmentation looks up the weight of every label: 255 would be out of range.
    logits, labels = batch(ignored=0)
    arguments = dict(class_weight=[0.5, 1, 2, 0, 1.5], avg_non_ignore=avg_non_ignore)
    expected = ordinary(logits, labels, ignore_index=ignore_index, **arguments)
    assert_same(build(**arguments), logits, labels, expected, ignore_index=ignore_index)


def test_ignored_pixels_count_one_beside_class_weights() -> None:
    logits, labels = batch()
    class_weight = torch.tensor([0.5, 1, 2, 0, 1.5], dtype=torch.float64)
    labelled = labels != 255
    summed = build(class_weight=class_weight.tolist(), avg_non_ignore=True)(logits, labels)
    summed = summed * class_weight[labels[labelled]].sum()
    number = class_weight[labels[labelled]].sum() + (~labelled).sum()
    loss = build(class_weight=class_weight.tolist())(logits, labels)
    torch.testing.assert_close(loss, summed / number, rtol=1e-7, atol=0)


def test_class_weights_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / 'weights.json'
    path.write_text(json.dumps([1, 2, 3, 4, 5]))
    logits, labels = batch()
    from_file = build(class_weight=str(path))(logits, labels)
    assert torch.equal(from_file, build(class_weight=[1, 2, 3, 4, 5])(logits, labels))


@pytest.mark.usefixtures('small_tiles')
def test_agrees_with_weights_of_pixels() -> None:
    logits, labels = batch()
    weight = torch.rand(labels.shape, generator=torch.Generator().manual_seed(1)).round(decimals=1)
    expected = ordinary(logits, labels, weight=weight)
    assert_same(build(), logits, labels, expected, weight=weight)


@pytest.mark.parametrize('classes', [2, 19, 150])
def test_gradient_in_single_precision(classes: int) -> None:
    logits, labels = batch(classes, (16, 16), (128, 128), torch.float32)
    loss, _, expected = ordinary(logits, labels)
    actual = build()(logits, labels)
    (gradient,) = torch.autograd.grad(actual, logits)
    torch.testing.assert_close(actual.detach(), loss, rtol=1e-6, atol=0)
    assert (gradient - expected).norm() / expected.norm() < 1e-6


@pytest.mark.usefixtures('small_tiles')
def test_gradient_by_finite_differences() -> None:
    logits, labels = batch(size=(2, 3), label_size=(9, 12))
    assert torch.autograd.gradcheck(lambda x: build()(x, labels), logits)


def test_gives_the_same_bits_each_time() -> None:
    logits, labels = batch(19, (16, 16), (128, 128), torch.float32)
    # What is kept from a run in inference mode serves training too.
    bilinear_tiles.cache_clear()
    with torch.inference_mode():
        build()(logits, labels)
    runs = []
    for _ in range(3):
        loss = build()(logits, labels)
        runs.append((loss.detach(), *torch.autograd.grad(loss, logits)))
    assert all(torch.equal(a, b) for run in runs for a, b in zip(run, runs[0], strict=True))


def test_never_makes_the_upsampled_logits() -> None:
    logits, labels = batch(150, (32, 32), (256, 256), torch.float32)
    full = 2 * 150 * 256 * 256
    with LargestTensor() as largest:
        build()(logits, labels).backward()
    assert logits.numel() <= largest.values <= full / 20
    with LargestTensor() as largest:
        build().requires_grad_(False)(logits.detach(), labels)
    assert largest.values <= full / 20


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_computes_in_single_precision(dtype: torch.dtype) -> None:
    logits, labels = batch(dtype=torch.float32)
    rounded = logits.detach().to(dtype).requires_grad_()
    precise = rounded.detach().float().requires_grad_()
    with torch.autocast('cpu', torch.bfloat16):
        loss = build()(rounded, labels)
    expected = build()(precise, labels)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, expected)
    (gradient,) = torch.autograd.grad(loss, rounded)
    (expected_gradient,) = torch.autograd.grad(expected, precise)
    assert torch.equal(gradient, expected_gradient.to(dtype))


def test_nothing_labelled() -> None:
    logits, labels = batch(ignored=1)
    for avg_non_ignore in (False, True):
        loss, percentage = build(avg_non_ignore=avg_non_ignore).loss_and_accuracy(logits, labels)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss == 0
        assert (gradient == 0).all()
        assert percentage == 100


def test_labels_of_eight_bits_and_none_to_ignore() -> None:
    logits, labels = batch(ignored=0)
    expected = build()(logits, labels)
    assert torch.equal(build()(logits, labels.byte()), expected)
    assert torch.equal(build()(logits, labels, ignore_index=None), expected)


def test_losses_of_pixels_for_a_sampler() -> None:
    logits, labels = batch()
    arguments = dict(loss_weight=0.4)
    expected = MODELS.build(dict(type='CrossEntropyLoss', **arguments))(
        resize(logits, labels.shape[1:], mode='bilinear'),
        labels,
        ignore_index=255,
        reduction_override='none',
    )
    actual = build(**arguments)(logits, labels, reduction_override='none')
    torch.testing.assert_close(actual, expected.detach())
    assert not actual.requires_grad


@pytest.mark.parametrize('label', [CLASSES, 254, -1])
@pytest.mark.parametrize('loss_type', ['UpsampledCrossEntropyLoss', 'OHEMCrossEntropyLoss'])
def test_explains_labels_that_are_no_class(loss_type: str, label: int) -> None:
    logits, labels = batch()
    labels[1, 2, 3] = label
    message = f'A label is {label}, but the head has 5 classes .0 to 4. and ignores 255'
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type=loss_type))(logits, labels)


def test_explains_what_is_not_its_business() -> None:
    logits, labels = batch()
    with pytest.raises(ValueError, match="with use_sigmoid=True take type='CrossEntropyLoss'"):
        build(use_sigmoid=True)
    with pytest.raises(ValueError, match='out_channels=1 take loss_decode='):
        build()(logits[:, :1], labels)
    with pytest.raises(
        ValueError, match='class_weight must list one weight per class, 5, but .* 3'
    ):
        build(class_weight=[1, 2, 3])(logits, labels)


@pytest.mark.parametrize('ignore_index', [0, 1, -1, -2])
@pytest.mark.parametrize('avg_non_ignore', [True, False])
def test_class_weights_where_the_ignored_label_is_one_of_the_classes(ignore_index, avg_non_ignore):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8, 8)
    labels = torch.randint(3, (2, 32, 32))
    labels[0, :4] = ignore_index
    settings = dict(class_weight=[0.1, 1.0, 2.0], avg_non_ignore=avg_non_ignore)
    full = F.interpolate(logits, (32, 32), mode='bilinear')
    expected = CrossEntropyLoss(**settings)(full, labels, ignore_index=ignore_index)
    found = UpsampledCrossEntropyLoss(**settings)(logits, labels, ignore_index=ignore_index)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('bad', [float('inf'), float('-inf'), float('nan')])
def test_what_is_not_finite_reaches_no_more_than_in_mmsegmentation(bad):
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 8, 8)
    logits[0, 2, 1, 1] = bad
    labels = torch.randint(2, (1, 64, 64))
    labels[:, :32, :32] = 255  # all that it reaches is ignored
    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = UpsampledCrossEntropyLoss()(leaf, labels)
    expected = CrossEntropyLoss()(
        F.interpolate(other, (64, 64), mode='bilinear'), labels, ignore_index=255
    )
    assert found.isfinite()
    torch.testing.assert_close(found, expected)
    found.backward()
    expected.backward()
    is_number = other.grad.isfinite()
    assert is_number.any()
    torch.testing.assert_close(leaf.grad[is_number], other.grad[is_number])
    # PyTorch also multiplies infinity by the weights that are 0 at a border.
    assert leaf.grad.isnan().any() == (bad != float('-inf'))


@pytest.mark.parametrize('label', [0, 2])
@pytest.mark.parametrize('classes', [[2], [0, 1, 2]])
def test_a_class_that_is_ruled_out_has_no_probability(classes: list[int], label: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 8, 8)
    logits[0, classes, 4, 4] = float('-inf')
    labels = torch.full((1, 64, 64), label)
    leaf, other = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found = UpsampledCrossEntropyLoss()(leaf, labels)
    expected = F.cross_entropy(F.interpolate(other, (64, 64), mode='bilinear'), labels)
    torch.testing.assert_close(found, expected, equal_nan=True)
    found.backward()
    expected.backward()
    torch.testing.assert_close(leaf.grad, other.grad, equal_nan=True)


@pytest.mark.parametrize('loss_type', ['UpsampledCrossEntropyLoss', 'OHEMCrossEntropyLoss'])
def test_every_implementation_gives_the_same(loss_type: str) -> None:
    logits, labels = batch()
    results = [
        MODELS.build(dict(type=loss_type, implementation=name)).loss_and_accuracy(logits, labels)
        for name in ('auto', 'full', 'tiles')
    ]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])
    with pytest.raises(ValueError, match=f"{loss_type}: implementation is 'kernal', .* kernel"):
        MODELS.build(dict(type=loss_type, implementation='kernal'))
