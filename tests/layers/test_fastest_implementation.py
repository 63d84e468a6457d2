"""Implementations are measured once, and the fastest that fits is kept."""

from collections.abc import Callable

import pytest
import torch

from segheads.layers import fastest_implementation
from segheads.layers.fastest_implementation import (
    Cost,
    FastestImplementation,
    candidates_for,
    check_implementation,
    kernel_runs,
    magnitude,
    must_not_measure,
    require_kernel,
)
from segheads.mistakes import UserMistake


class Clock:
    """A clock that work advances, and a memory that work takes."""

    def __init__(self) -> None:
        self.milliseconds = 0.0
        self.bytes = 0
        self.measured = 0

    def work(self, milliseconds: float, extra_bytes: int = 0) -> Callable[[], None]:
        def run() -> None:
            self.milliseconds += milliseconds
            self.bytes = extra_bytes

        return run

    def measure(self, run: Callable[[], object]) -> Cost:
        start = self.milliseconds
        run()
        self.measured += 1
        return Cost(self.milliseconds - start, self.bytes, free_bytes=1000)


def fails(error: Exception) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fastest(clock: Clock) -> FastestImplementation:
    return FastestImplementation('Work', clock.measure, remembered=2)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines = []
    monkeypatch.setattr(fastest_implementation, 'print_log', lambda x, logger: lines.append(x))
    return lines


def test_takes_the_fastest(clock: Clock, fastest: FastestImplementation, lines: list[str]) -> None:
    candidates = dict(kernel=clock.work(3, 2**20), full=clock.work(2, 300), tiles=clock.work(5))
    assert fastest.choose('small', {**candidates, 'kernel': clock.work(3, 100)}) == 'full'
    assert len(lines) == 1
    assert lines[0].startswith('Work, small: full is taken (kernel 3.00 ms, 0 MiB; full 2.00 ms')


def test_remembers_a_bounded_number_of_choices(
    clock: Clock, fastest: FastestImplementation, lines: list[str]
) -> None:
    candidates = dict(full=clock.work(2), tiles=clock.work(1))
    for kind in ('a', 'b', 'a', 'a', 'c', 'a'):
        assert fastest.choose(kind, candidates) == 'tiles'
    assert clock.measured == 6
    fastest.choose('b', candidates)  # had not been asked for when 'c' came
    assert clock.measured == 8
    assert len(fastest.choices) == 2
    assert len(lines) == 4


def test_leaves_half_of_the_free_memory(clock: Clock, fastest: FastestImplementation) -> None:
    candidates = dict(full=clock.work(1, 501), tiles=clock.work(5, 10))
    assert fastest.choose('too much', candidates) == 'tiles'
    candidates['full'] = clock.work(1, 500)
    assert fastest.choose('fits', candidates) == 'full'


def test_what_fails_is_not_taken(
    clock: Clock, fastest: FastestImplementation, lines: list[str]
) -> None:
    candidates = dict(
        kernel=fails(RuntimeError('no C compiler')),
        full=fails(torch.OutOfMemoryError('too large')),
        tiles=clock.work(9),
    )
    assert fastest.choose('some', candidates) == 'tiles'
    assert 'kernel fails with RuntimeError; full does not fit into the memory; tiles 9' in lines[0]
    candidates['tiles'] = fails(ValueError('all fail'))
    assert fastest.choose('none', candidates) == 'tiles'


def test_images_of_similar_size_share_a_choice() -> None:
    assert magnitude(512, 512) == magnitude(512, 500) == 2**18
    assert magnitude(512, 513) == 2**19
    assert magnitude(1, 1) == 1


def test_names() -> None:
    assert check_implementation('tiles', 'Loss') == 'tiles'
    with pytest.raises(UserMistake, match="^Loss: implementation is 'tile', .* mean tiles[?]$"):
        check_implementation('tile', 'Loss')
    with pytest.raises(UserMistake, match='implementation is 3, but must be one of'):
        check_implementation(3, 'Loss')


def test_what_a_kernel_computes_with(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.zeros(2, 3, 4, 5)
    assert not kernel_runs(logits)
    assert candidates_for(logits) == ('full', 'tiles')
    with pytest.raises(UserMistake, match="float32 on cpu; take 'auto'"):
        require_kernel(logits)
    monkeypatch.setattr(fastest_implementation, 'is_on_gpu', lambda tensor: True)
    monkeypatch.setattr(fastest_implementation, 'HAS_TRITON', True)
    assert candidates_for(logits) == ('kernel', 'full', 'tiles')
    assert not kernel_runs(logits.double())
    assert not kernel_runs(torch.empty(1, 2**16, 2**15, 1, device='meta'))
    monkeypatch.setattr(fastest_implementation, 'HAS_TRITON', False)
    with pytest.raises(UserMistake, match='Triton is missing'):
        require_kernel(logits)


def test_nothing_is_measured_while_a_compiler_records() -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if must_not_measure(x) else x - 1

    assert not must_not_measure(torch.zeros(1))
    with torch._subclasses.FakeTensorMode() as mode:
        assert must_not_measure(mode.from_tensor(torch.zeros(1)))
    torch.compiler.reset()
    compiled = torch.compile(function, backend='eager', fullgraph=True)
    assert compiled(torch.zeros(1)) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_measures_time_and_memory_on_cuda() -> None:
    x = torch.zeros(2**20, device='cuda')
    small = fastest_implementation.measure_on_gpu(lambda: x + 1)
    large = fastest_implementation.measure_on_gpu(lambda: [x + i for i in range(50)])
    assert 0 < small.milliseconds < large.milliseconds
    assert small.extra_bytes == 2**22
    assert large.extra_bytes == 50 * 2**22
    assert large.free_bytes > 0
