"""Ways to find a class map agree, and the fastest is chosen."""

from collections.abc import Callable

import pytest
import torch
from fake_cuda import skip_where_the_driver_is_asked
from torch import Tensor
from torch._subclasses import FakeTensorMode

from segheads.layers import fastest_implementation
from segheads.layers.fastest_implementation import Cost, FastestImplementation
from segheads.layers.resized_side import resize_weights
from segheads.mistakes import UserMistake
from segheads.segmentors import fastest_class_map as module
from segheads.segmentors.fastest_class_map import fastest_class_map, full_size_class_map
from segheads.segmentors.tiled_prediction import class_map


def arguments() -> tuple[Tensor, Tensor, Tensor]:
    logits = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(0))
    return logits, *(
        resize_weights(torch.eye(cells), extent, False) for cells, extent in ((6, 31), (8, 40))
    )


def test_full_size_and_tiles_agree() -> None:
    assert torch.equal(full_size_class_map(*arguments()), class_map(*arguments()))


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
def test_what_is_not_finite_does_not_spread(value: float) -> None:
    logits, *weights = arguments()
    logits[2, 3, 4] = value
    expected = class_map(logits, *weights)
    assert torch.equal(fastest_class_map(logits, *weights, class_map, 'full'), expected)
    assert (expected == full_size_class_map(*arguments())).float().mean() > 0.9


def test_full_size_in_single_precision_under_autocast() -> None:
    logits, *weights = arguments()
    expected = full_size_class_map(logits.bfloat16().float(), *weights)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(full_size_class_map(logits.bfloat16(), *weights), expected)


def test_on_a_cpu_it_is_tiles() -> None:
    found = []
    fastest_class_map(*arguments(), lambda *x: found.append(x))
    assert len(found) == 1


def test_the_fastest_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    now = [0.0]

    def of_speed(name: str, milliseconds: float) -> Callable:
        def run(*arguments: Tensor) -> Tensor:
            ran.append(name)
            now[0] += milliseconds
            return class_map(*arguments)

        return run

    def measure(run: Callable[[], object]) -> Cost:
        start = now[0]
        run()
        return Cost(now[0] - start, 0, 1)

    monkeypatch.setattr(module, 'fastest', FastestImplementation('Class map', measure))
    monkeypatch.setattr(module, 'is_on_gpu', lambda tensor: True)
    monkeypatch.setattr(fastest_implementation, 'is_on_gpu', lambda tensor: True)
    monkeypatch.setattr(fastest_implementation, 'HAS_TRITON', True)
    monkeypatch.setattr(module, '_kernel_class_map', of_speed('kernel', 1))
    monkeypatch.setattr(module, 'full_size_class_map', of_speed('full', 3))
    tiled = of_speed('tiles', 2)
    first = fastest_class_map(*arguments(), tiled)
    assert ran == ['kernel', 'full', 'tiles', 'kernel']
    logits, rows, columns = arguments()
    part = fastest_class_map(logits, rows[:, :29], columns, tiled)  # of similar size
    assert ran[4:] == ['kernel']
    assert torch.equal(part, first[:, :29])
    assert fastest_class_map(logits, rows, columns, tiled, 'full').equal(first)
    assert ran[5:] == ['full']


def test_nothing_is_measured_on_fake_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip('triton')
    skip_where_the_driver_is_asked()

    def refuse(*_: object) -> None:
        raise AssertionError('measured')

    monkeypatch.setattr(module, 'fastest', FastestImplementation('Class map', refuse))
    with FakeTensorMode() as mode:
        fake = [mode.from_tensor(x).to('cuda') for x in arguments()]
        classes = fastest_class_map(*fake, class_map)
        double = fastest_class_map(*(x.double() for x in fake), class_map)
    for found in (classes, double):
        assert (found.shape, found.device.type, found.dtype) == ((1, 31, 40), 'cuda', torch.long)


def test_explains_that_there_is_no_kernel() -> None:
    with pytest.raises(UserMistake, match="needs Triton and logits .* on cpu; take 'auto'"):
        fastest_class_map(*arguments(), class_map, 'kernel')
