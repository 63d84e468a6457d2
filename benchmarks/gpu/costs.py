"""Times and peak memory of workloads on a GPU; what does not fit or fails is told, and left out."""

from collections.abc import Callable, Mapping

import torch

from benchmarks.gpu.parts import Options, Row
from benchmarks.timing import measure
from benchmarks.workloads import Setting, Workload


def cost_rows(
    builders: Mapping[str, Callable[[], Workload]], setting: Setting, options: Options, **case: str
) -> list[Row]:
    """Measure workloads in turns.

    Args:
        builders (Mapping[str, Callable]): What builds each workload, by its name; the first is the
            reference.
        setting (Setting): Where they run.
        options (Options): How long.
        **case (str): What the rows begin with.

    Returns:
        list[Row]: A row per workload: ms, their ratio to the reference, MiB, and a note.
    """
    work, memory, notes = {}, {}, {}
    for name, build in builders.items():
        try:
            work[name] = build()
            memory[name] = peak_mebibytes(work[name], setting)
        except torch.OutOfMemoryError:
            notes[name] = 'does not fit into the memory'
        except Exception as error:  # one workload that fails does not stop the others
            first_line = str(error).strip().split('\n')[0]
            notes[name] = f'{type(error).__name__}: {first_line}'[:200]
        if name in notes:
            work.pop(name, None)
            _forget()
    measured = measure(work, setting, options.seconds, options.rounds) if work else {}
    reference = next(iter(builders))
    rows = []
    for name in builders:
        row: Row = {**case, 'precision': setting.precision, 'way': name}
        if name in measured:
            row['ms'] = measured[name]['milliseconds']['median']
            row['MiB'] = memory[name]
            if reference in measured and name != reference:
                row['time'] = measured[name]['ratio']['median']
                row['memory'] = memory[name] / max(memory[reference], 1)
        else:
            row['note'] = notes[name]
        rows.append(row)
    work.clear()
    _forget()
    return rows


def peak_mebibytes(run: Workload, setting: Setting) -> float:
    """Measure what a second run of a workload allocates on the GPU; NaN on a CPU.

    Args:
        run (Callable): The workload; its first run compiles, and chooses among implementations.
        setting (Setting): Where it runs.
    """
    run()
    if setting.device != 'cuda':
        return float('nan')
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _forget() -> None:
    """Give back the memory of the workloads that were measured."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
