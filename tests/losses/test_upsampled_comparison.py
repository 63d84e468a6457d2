"""Ways to compare up-sampled logits with labels agree, and the fastest is chosen."""

from collections.abc import Callable

import pytest
import torch
from fake_cuda import skip_where_the_driver_is_asked
from mmseg.registry import MODELS
from torch import Tensor
from torch._subclasses import FakeTensorMode

from segheads.layers import fastest_implementation
from segheads.layers.fastest_implementation import Cost, FastestImplementation
from segheads.losses import upsampled_comparison
from segheads.losses.full_size_cross_entropy import full_size_cross_entropy
from segheads.losses.tiled_cross_entropy import tiled_cross_entropy
from segheads.losses.upsampled_comparison import (
    choose_implementation,
    compare_upsampled,
)
from segheads.mistakes import UserMistake


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 6, 9, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, 5, (2, 31, 40), generator=generator)
    weight = torch.rand(labels.shape, dtype=torch.float64, generator=generator)
    labels[:, :9], weight[:, :9] = 255, 0
    return logits.requires_grad_(), labels, weight


class Speeds:
    """Stands for a GPU, on which each implementation takes a time that is known."""

    def __init__(self, **milliseconds: float) -> None:
        self.milliseconds = milliseconds
        self.now = 0.0
        self.ran: list[tuple[str, bool]] = []

    def implementation(self, name: str) -> Callable:
        def run(logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool) -> tuple:
            self.now += self.milliseconds[name]
            self.ran.append((name, logits.requires_grad))
            return full_size_cross_entropy(logits, labels, weight, align_corners)

        return run

    def measure(self, run: Callable[[], object]) -> Cost:
        start = self.now
        run()
        return Cost(self.now - start, 0, 1)


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> Speeds:
    speeds = Speeds(kernel=2, full=1, tiles=3)
    for module in (fastest_implementation, upsampled_comparison):
        monkeypatch.setattr(module, 'is_on_gpu', lambda tensor: True)
    monkeypatch.setattr(fastest_implementation, 'HAS_TRITON', True)
    fastest = FastestImplementation('Loss', speeds.measure)
    monkeypatch.setattr(upsampled_comparison, 'fastest', fastest)
    implementations = {name: speeds.implementation(name) for name in speeds.milliseconds}
    monkeypatch.setattr(upsampled_comparison, '_IMPLEMENTATIONS', implementations)
    return speeds


@pytest.mark.parametrize('align_corners', [False, True])
def test_full_size_and_tiles_agree(align_corners: bool) -> None:
    logits, labels, weight = batch()
    results = []
    for compare in (full_size_cross_entropy, tiled_cross_entropy):
        total, losses, correct = compare(logits, labels, weight, align_corners)
        assert not losses.requires_grad
        results.append((total, losses, correct, *torch.autograd.grad(total, logits)))
    torch.testing.assert_close(*results)


def test_full_size_in_single_precision_under_autocast() -> None:
    logits, labels, weight = batch()
    logits = logits.detach().bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        total, losses, _ = full_size_cross_entropy(logits, labels, weight.float(), False)
    expected, *_ = full_size_cross_entropy(logits.float(), labels, weight.float(), False)
    assert losses.dtype == torch.float32
    assert torch.equal(total, expected)


def test_on_a_cpu_it_is_tiles() -> None:
    assert choose_implementation(*batch(), False) == 'tiles'


def test_the_fastest_is_measured_in_the_first_step_only(speeds: Speeds) -> None:
    arguments = *(x.float() if x.is_floating_point() else x for x in batch()), False
    compare_upsampled(*arguments)
    assert [name for name, _ in speeds.ran] == ['kernel', 'full', 'tiles', 'full']
    assert all(with_gradient for _, with_gradient in speeds.ran)
    speeds.ran.clear()
    compare_upsampled(*arguments)
    assert speeds.ran == [('full', True)]


def test_without_gradient_is_another_choice(speeds: Speeds) -> None:
    logits, labels, weight = batch()
    compare_upsampled(logits, labels, weight, False)
    speeds.ran.clear()
    speeds.milliseconds.update(full=9)
    with torch.inference_mode():
        compare_upsampled(logits, labels, weight, False)
    # There is no kernel for 64 bits.
    assert [name for name, _ in speeds.ran] == ['full', 'tiles', 'tiles']
    assert not any(with_gradient for _, with_gradient in speeds.ran[:2])


def test_leaves_no_trace_of_measuring(speeds: Speeds) -> None:
    logits, labels, weight = batch()
    state = torch.get_rng_state()
    total, *_ = compare_upsampled(logits, labels, weight, False)
    assert logits.grad is None
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.autograd.grad(total, logits)[0].abs().sum() > 0


def test_a_given_implementation_is_not_measured(speeds: Speeds) -> None:
    compare_upsampled(*batch(), False, implementation='tiles')
    assert speeds.ran == [('tiles', True)]


def test_the_same_bits_where_they_are_asked_for(speeds: Speeds) -> None:
    logits, labels, weight = batch()
    torch.use_deterministic_algorithms(True)
    try:
        assert choose_implementation(logits, labels, weight, False) == 'tiles'
        assert choose_implementation(logits.float(), labels, weight, False) == 'kernel'
    finally:
        torch.use_deterministic_algorithms(False)
    assert not speeds.ran


def test_a_compiler_gets_what_it_can_trace(speeds: Speeds) -> None:
    logits, labels, weight = batch()
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        double, single = (mode.from_tensor(x.detach()) for x in (logits, logits.float()))
        assert choose_implementation(double, labels, weight, False) == 'full'
        assert choose_implementation(single, labels, weight, False) == 'kernel'
    assert not speeds.ran


def test_fake_tensors_on_a_gpu() -> None:
    pytest.importorskip('triton')
    skip_where_the_driver_is_asked()
    drawn = [x.detach() for x in batch()]
    with FakeTensorMode() as mode:
        logits, labels, weight = (mode.from_tensor(x).to('cuda') for x in drawn)
        logits = logits.half()
        total, losses, correct = compare_upsampled(logits, labels, weight, False)
    assert {x.device.type for x in (total, losses, correct)} == {'cuda'}
    assert (total.dtype, correct.dtype) == (torch.float32, torch.bool)
    assert losses.shape == correct.shape == labels.shape


def test_explains_that_there_is_no_kernel() -> None:
    with pytest.raises(UserMistake, match="needs Triton and logits .* on cpu; take 'auto'"):
        compare_upsampled(*batch(), False, implementation='kernel')


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('loss_type', ['UpsampledCrossEntropyLoss', 'OHEMCrossEntropyLoss'])
@pytest.mark.parametrize('implementation', ['full', 'tiles'])
def test_the_largest_logits_in_16_bits_give_a_finite_loss(
    implementation: str, loss_type: str, dtype: torch.dtype
) -> None:
    _, labels, _ = batch()
    largest = 6e4
    logits = largest * torch.randn(len(labels), 5, 6, 9).sign()
    logits = logits.to(dtype).requires_grad_()
    loss_decode = MODELS.build(dict(type=loss_type, implementation=implementation))
    with torch.autocast('cpu', dtype):
        loss, accuracy = loss_decode.loss_and_accuracy(logits, labels)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.dtype == accuracy.dtype == torch.float32
    assert 0 < loss <= 2.01 * largest
    assert gradient.isfinite().all()
    assert gradient.any()
