"""Choosing among implementations of one computation by measuring them where they run."""

import importlib.util
import os
import statistics
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from mmengine.logging import print_log
from torch import Tensor
from torch._subclasses import FakeTensor

from segheads.compat import is_tracing
from segheads.mistakes import UserMistake, near_matches

AUTO = 'auto'
IMPLEMENTATIONS = (AUTO, 'full', 'tiles', 'kernel')
HAS_TRITON = importlib.util.find_spec('triton') is not None
# Triton's interpreter runs kernels on a CPU.
IS_INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'
KERNEL_DTYPES = (torch.float16, torch.bfloat16, torch.float32)
# What a kernel numbers in 32 bits: the logits of an image.
KERNEL_VALUES = 2**31
REPETITIONS = 3
# Of the memory that is free when it is measured: optimisers allocate theirs after the first step,
# and a later batch may be larger.
MEMORY_SHARE = 0.5
REMEMBERED = 64


@dataclass(frozen=True)
class Cost:
    """What a run of an implementation takes.

    Attributes:
        milliseconds (float): Its time.
        extra_bytes (int): What it allocates at most beyond what is allocated before.
        free_bytes (int): What it may allocate before the memory is full.
    """

    milliseconds: float
    extra_bytes: int
    free_bytes: int


Measure = Callable[[Callable[[], object]], Cost]


def measure_on_gpu(run: Callable[[], object]) -> Cost:
    """Time work on the current GPU by events.

    Args:
        run (Callable): The work. It is done once more before, in which kernels are compiled.

    Returns:
        Cost: The median of a few repetitions.
    """
    run()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - before
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(REPETITIONS + 1)]
    marks[0].record()
    for mark in marks[1:]:
        run()
        mark.record()
    torch.cuda.synchronize()
    times = [start.elapsed_time(end) for start, end in zip(marks, marks[1:], strict=False)]
    extra = torch.cuda.max_memory_allocated() - before
    torch.cuda.reset_peak_memory_stats()
    return Cost(statistics.median(times), extra, free)


class FastestImplementation:
    """Measures implementations once for each kind of input, and remembers the fastest that fits.

    The choice is that of one process: nothing is exchanged with others. It is logged in one line.

    Args:
        work (str): What is computed, for the log.
        measure (Callable): Measures an implementation. Default: :func:`measure_on_gpu`.
        remembered (int): For how many kinds of input a choice is kept. Default: 64.
    """

    def __init__(
        self, work: str, measure: Measure = measure_on_gpu, remembered: int = REMEMBERED
    ) -> None:
        self.work = work
        self.measure = measure
        self.remembered = remembered
        self.choices: OrderedDict[str, str] = OrderedDict()

    def choose(self, kind: str, candidates: Mapping[str, Callable[[], object]]) -> str:
        """Name the fastest implementation for a kind of input.

        Args:
            kind (str): What the choice depends on: sizes, data type, device.
            candidates (Mapping[str, Callable]): Implementations by name, each a function that runs
                it on the input at hand. The last is taken if none can be measured.

        Returns:
            str: The name. One that fails, or that needs more than half of the free memory, is
            not chosen.
        """
        if kind in self.choices:
            self.choices.move_to_end(kind)
            return self.choices[kind]
        costs, notes = {}, {}
        for name, run in candidates.items():
            try:
                cost = self.measure(run)
            except torch.OutOfMemoryError:
                notes[name] = 'does not fit into the memory'
            except Exception as error:  # no compiler for kernels, an old GPU: others may work
                notes[name] = f'fails with {type(error).__name__}'
            else:
                notes[name] = f'{cost.milliseconds:.2f} ms, {cost.extra_bytes / 2**20:.0f} MiB'
                if cost.extra_bytes <= MEMORY_SHARE * cost.free_bytes:
                    costs[name] = cost
        chosen = min(costs, key=lambda name: costs[name].milliseconds, default=list(candidates)[-1])
        self.choices[kind] = chosen
        if len(self.choices) > self.remembered:
            self.choices.popitem(last=False)
        measured = '; '.join(f'{name} {note}' for name, note in notes.items())
        print_log(f'{self.work}, {kind}: {chosen} is taken ({measured})', logger='current')
        return chosen


def magnitude(height: int, width: int) -> int:
    """Round a number of pixels up to a power of two: images of similar size share a choice."""
    return 1 << (height * width - 1).bit_length()


def check_implementation(name: str, owner: str) -> str:
    """Refuse what is not the name of an implementation.

    Args:
        name (str): What a config gives.
        owner (str): What it configures.

    Returns:
        str: The name.

    Raises:
        UserMistake: If there is no such implementation.
    """
    if name not in IMPLEMENTATIONS:
        raise UserMistake(
            f'{owner}: implementation is {name!r}, but must be one of '
            f'{", ".join(map(repr, IMPLEMENTATIONS))}{near_matches(str(name), IMPLEMENTATIONS)}'
        )
    return name


def candidates_for(logits: Tensor) -> tuple[str, ...]:
    """List the implementations that may compute with logits.

    Args:
        logits (Tensor): Scores (..., C, h, w).

    Returns:
        tuple[str, ...]: Names, the one that always works last.
    """
    return ('kernel', 'full', 'tiles') if kernel_runs(logits) else ('full', 'tiles')


def kernel_runs(logits: Tensor) -> bool:
    """Tell whether there is a kernel for logits: a GPU, Triton, a data type of 32 or 16 bits."""
    return (
        HAS_TRITON
        and (is_on_gpu(logits) or IS_INTERPRETED)
        and logits.dtype in KERNEL_DTYPES
        and logits.shape[-3:].numel() < KERNEL_VALUES
    )


def require_kernel(logits: Tensor) -> None:
    """Refuse to compute with logits for which there is no kernel.

    Args:
        logits (Tensor): Scores of the classes.

    Raises:
        UserMistake: If Triton is missing, or the logits are not those of a GPU in 32 or 16 bits.
    """
    if not kernel_runs(logits):
        raise UserMistake(
            "implementation='kernel' needs Triton and logits in 32 or 16 bits on a GPU, but "
            f'Triton is {"installed" if HAS_TRITON else "missing"} and the logits are '
            f'{logits.dtype} on {logits.device}; take {AUTO!r}'
        )


def is_on_gpu(tensor: Tensor) -> bool:
    """Tell whether there is something to choose: on a CPU tiles are the fastest."""
    return tensor.is_cuda


def must_not_measure(tensor: Tensor) -> bool:
    """Tell whether work is only recorded now, for a compiler or a CUDA graph."""
    is_recorded = is_tracing() or isinstance(tensor, FakeTensor)
    return is_recorded or (tensor.is_cuda and torch.cuda.is_current_stream_capturing())
