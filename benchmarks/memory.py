"""Peak memory of a workload, in a process of its own."""

import multiprocessing
from pathlib import Path
from typing import Any

import torch

from . import workloads
from .subjects import groups
from .workloads import Setting

STATUS = Path('/proc/self/status')
# Linux forgets the peak of a process when 5 is written there.
FORGET_PEAK = Path('/proc/self/clear_refs')
SMALL_IMAGE = (64, 64)


def peak_memory(kind: str, subject: str, setting: Setting, arguments: dict[str, Any]) -> float:
    """Measure what a workload needs beyond its model and inputs.

    Each measurement has a fresh process, started from one that has only imported the packages. On
    the CPU it is the growth of the resident memory, whoever allocates it; on CUDA what PyTorch
    allocates.

    Args:
        kind (str): Name of a function in ``workloads``.
        subject (str): Name of a subject.
        setting (Setting): Where it runs.
        arguments (dict): Further arguments of the workload.

    Returns:
        float: The peak in MiB; NaN on a CPU where there is no Linux to ask.
    """
    if setting.device == 'cpu' and not FORGET_PEAK.exists():
        return float('nan')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_measure, args=(sender, kind, subject, setting, arguments), daemon=True
    )
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def _measure(sender: Any, kind: str, name: str, setting: Setting, arguments: dict) -> None:
    torch.set_num_threads(setting.threads)
    subject = next(s for group in groups().values() for s in group if s.name == name)
    build = getattr(workloads, kind)
    # Libraries set themselves up in their first call.
    build(subject, setting, **{**arguments, 'size': SMALL_IMAGE})()
    run = build(subject, setting, **arguments)
    if setting.device == 'cuda':
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        sender.send((torch.cuda.max_memory_allocated() - before) / 2**20)
        return
    FORGET_PEAK.write_text('5')
    before = _status('VmRSS')
    run()
    sender.send((_status('VmHWM') - before) / 2**10)


def _status(field: str) -> int:
    """Read a field of the process's status, in KiB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1])
