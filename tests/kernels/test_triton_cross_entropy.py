"""The kernels compute loss, accuracy and gradient of PyTorch's operators."""

import os

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor

from segheads.layers import fastest_implementation
from segheads.losses import upsampled_comparison
from segheads.losses.triton_cross_entropy import triton_cross_entropy
from segheads.losses.upsampled_comparison import compare_upsampled, full_size_cross_entropy

DEVICE = 'cpu' if os.environ.get('TRITON_INTERPRET') == '1' else 'cuda'
SIZES = [
    ((3, 4), (11, 14)),
    ((4, 5), (4, 5)),
    ((5, 6), (3, 9)),
    ((1, 1), (5, 4)),
    ((2, 1), (1, 7)),
    ((1, 37), (2, 67)),  # more cells and pixels than a block has
]


def batch(
    num_classes: int = 5,
    size: tuple[int, int] = (3, 4),
    label_size: tuple[int, int] = (11, 14),
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw logits, labels and weights; a fifth of the pixels has neither class nor weight."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, num_classes, *size, generator=generator)
    labels = torch.randint(0, num_classes, (2, *label_size), generator=generator)
    weight = torch.rand(labels.shape, generator=generator)
    ignored = torch.rand(labels.shape, generator=generator) < 0.2
    labels[ignored], weight[ignored] = 255, 0
    return logits.to(DEVICE, dtype).requires_grad_(), labels.to(DEVICE), weight.to(DEVICE)


def with_gradient(compare: object, logits: Tensor, *others: object) -> tuple[Tensor, ...]:
    total, losses, correct = compare(logits, *others)
    (gradient,) = torch.autograd.grad(0.4 * total, logits)
    return total.detach(), losses, correct, gradient


def assert_same(logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool) -> None:
    total, losses, correct, gradient = with_gradient(
        triton_cross_entropy, logits, labels, weight, align_corners
    )
    precise = logits.detach().double().requires_grad_()
    expected = with_gradient(
        full_size_cross_entropy, precise, labels, weight.double(), align_corners
    )
    assert gradient.dtype == logits.dtype
    assert total.dtype == losses.dtype == torch.float32
    assert not losses.requires_grad and not correct.requires_grad
    torch.testing.assert_close(total.double(), expected[0], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(losses.double(), expected[1], rtol=1e-5, atol=2e-5)
    assert torch.equal(correct & (weight > 0), expected[2] & (weight > 0))
    tolerance = 2e-6 if logits.dtype == torch.float32 else torch.finfo(logits.dtype).eps
    deviation = (gradient.double() - expected[3]).norm()
    assert deviation <= tolerance * expected[3].norm() + 1e-12


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('size', 'label_size'), SIZES)
def test_any_size(size: tuple, label_size: tuple, align_corners: bool) -> None:
    assert_same(*batch(size=size, label_size=label_size), align_corners)


@pytest.mark.parametrize('num_classes', [2, 3, 19, 150, 1000])
def test_any_number_of_classes(num_classes: int) -> None:
    logits, labels, weight = batch(num_classes, (1, 2), (1, 3))
    assert_same(logits[:1].detach().requires_grad_(), labels[:1], weight[:1], False)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    assert_same(*batch(size=(2, 3), label_size=(5, 7), dtype=dtype), False)


def test_logits_as_large_as_float16_holds() -> None:
    logits, labels, weight = batch(size=(2, 3), label_size=(5, 7), dtype=torch.float16)
    logits = (logits.detach() * (6e4 / logits.detach().abs().max())).requires_grad_()
    total, losses, _, gradient = with_gradient(triton_cross_entropy, logits, labels, weight, False)
    expected = with_gradient(
        full_size_cross_entropy, logits.detach().float().requires_grad_(), labels, weight, False
    )
    assert torch.isfinite(gradient).all()
    torch.testing.assert_close(total, expected[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(losses, expected[1], rtol=1e-5, atol=0.1)
    torch.testing.assert_close(gradient.float(), expected[3], rtol=1e-2, atol=2e-2)


def test_a_confident_pixel_keeps_its_gradient() -> None:
    # Less than what 1 is rounded to: the probability of the label is 1 in single precision.
    logits = torch.tensor([20.0, 0.0], device=DEVICE).view(1, 2, 1, 1).requires_grad_()
    labels = torch.zeros(1, 1, 1, dtype=torch.long, device=DEVICE)
    *_, gradient = with_gradient(
        triton_cross_entropy, logits, labels, torch.ones_like(labels), False
    )
    expected = 0.4 * torch.tensor([-1.0, 1.0], device=DEVICE).view(1, 2, 1, 1) * torch.e**-20
    torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=0)


def test_nothing_has_a_weight() -> None:
    logits, labels, weight = batch(label_size=(5, 7))
    total, losses, _, gradient = with_gradient(
        triton_cross_entropy, logits, labels.fill_(255), weight.zero_(), False
    )
    assert total == 0
    assert (losses == 0).all()
    assert (gradient == 0).all()


def test_what_is_no_number_stays_none() -> None:
    logits, labels, weight = batch(label_size=(7, 9))
    with torch.no_grad():
        logits[0, 1, 0, 0] = float('nan')
    total, losses, *_ = triton_cross_entropy(logits, labels, weight, False)
    assert total.isnan()
    assert losses[1].isfinite().all()


@pytest.mark.parametrize('kind', [torch.uint8, torch.int32, torch.bool])
def test_labels_and_weights_of_other_types(kind: torch.dtype) -> None:
    logits, labels, weight = batch(2, (2, 3), (5, 7))
    if kind == torch.bool:
        assert_same(logits, labels, weight > 0, False)
    else:
        assert_same(logits, labels.to(kind), weight, False)


def test_any_layout_of_the_memory() -> None:
    logits, labels, weight = batch(label_size=(5, 7))
    expected = with_gradient(triton_cross_entropy, logits, labels, weight, False)
    channels_last = logits.detach().to(memory_format=torch.channels_last).requires_grad_()
    labels, weight = (x.mT.contiguous().mT for x in (labels, weight))
    actual = with_gradient(triton_cross_entropy, channels_last, labels, weight, False)
    assert all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


def test_gives_the_same_bits_each_time() -> None:
    # What is kept from a run in inference mode serves training too.
    arguments = batch(size=(2, 3), label_size=(5, 7))
    with torch.inference_mode():
        triton_cross_entropy(*arguments, True)
    runs = [with_gradient(triton_cross_entropy, *arguments, True) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_operators_are_what_pytorch_expects() -> None:
    logits, labels, weight = batch(2, (2, 2), (3, 3))
    torch.library.opcheck(
        torch.ops.segheads.upsampled_cross_entropy.default, (logits, labels, weight, False)
    )


@pytest.mark.parametrize('implementation', ['auto', 'kernel'])
def test_is_part_of_a_compiled_graph(implementation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fastest_implementation, upsampled_comparison):
        monkeypatch.setattr(module, 'is_on_gpu', lambda tensor: True)
    torch.compiler.reset()
    logits, labels, weight = batch(size=(2, 3), label_size=(4, 5))

    def step(x: Tensor, name: str = implementation) -> tuple[Tensor, Tensor]:
        total, _, correct = compare_upsampled(2 * x, labels, weight, False, name)
        return total, correct.sum()

    compiled = torch.compile(step, backend='aot_eager', fullgraph=True)
    (total, number), (expected, expected_number) = compiled(logits), step(logits, 'kernel')
    assert torch.equal(total, expected)
    assert torch.equal(number, expected_number)
    assert torch.equal(*(torch.autograd.grad(x, logits)[0] for x in (total, expected)))


@pytest.mark.parametrize('loss_type', ['UpsampledCrossEntropyLoss', 'OHEMCrossEntropyLoss'])
def test_losses_take_the_kernel(loss_type: str) -> None:
    logits, labels, _ = batch(label_size=(7, 9))
    expected, actual = (
        MODELS.build(dict(type=loss_type, implementation=name)).loss_and_accuracy(logits, labels)
        for name in ('full', 'kernel')
    )
    torch.testing.assert_close(actual, expected)
