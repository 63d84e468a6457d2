"""Times of workloads that take turns."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch

from .workloads import Setting, Workload


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements.

    Args:
        median (float): The median.
        low (float): The first quartile.
        high (float): The third quartile.
        count (int): Number of measurements.
    """

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: list[float]) -> 'Spread':
        """Summarise measurements."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0], 1)
        low, median, high = statistics.quantiles(values, n=4, method='inclusive')
        return cls(median, low, high, len(values))


def measure(
    workloads: Mapping[str, Workload],
    setting: Setting,
    seconds: float,
    rounds: tuple[int, int] = (3, 25),
) -> dict[str, dict]:
    """Time workloads in turns, so that whatever else the machine does meets all of them.

    On the CPU it is the CPU time of the process with one thread, which other jobs disturb least,
    and wall time with several; on CUDA the time between two events.

    Args:
        workloads (Mapping[str, Workload]): What to time; the first is the reference.
        setting (Setting): Where it runs.
        seconds (float): After about so long no further round begins.
        rounds (tuple[int, int]): Least and largest number of rounds. Default: (3, 25).

    Returns:
        dict[str, dict]: By workload the times in ms and their ratios to those of the reference in
        the same round, each as a :class:`Spread`.
    """
    torch.set_num_threads(setting.threads)
    for run in workloads.values():
        run()  # compiles, allocates, chooses kernels
    times: dict[str, list[float]] = {name: [] for name in workloads}
    start = time.perf_counter()
    for index in range(rounds[1]):
        if index >= rounds[0] and time.perf_counter() - start > seconds:
            break
        for name, run in workloads.items():
            times[name].append(_milliseconds(run, setting))
    reference = next(iter(times.values()))
    return {
        name: dict(
            milliseconds=asdict(Spread.of(values)),
            ratio=asdict(Spread.of([x / y for x, y in zip(values, reference, strict=True)])),
        )
        for name, values in times.items()
    }


def _milliseconds(run: Workload, setting: Setting) -> float:
    if setting.device == 'cuda':
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)
    clock = time.process_time if setting.threads == 1 else time.perf_counter
    start = clock()
    run()
    return 1e3 * (clock() - start)
