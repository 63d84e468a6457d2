"""What the machine offers a training."""

import os
import shutil
import subprocess
from contextlib import suppress
from typing import NamedTuple

from mmengine.device import get_device

ASSUMED_GIGABYTES = 8.0


class Machine(NamedTuple):
    """A machine.

    Attributes:
        device (str): Such as 'cpu' or 'cuda'.
        gigabytes (float): Memory of the device.
    """

    device: str
    gigabytes: float

    @property
    def is_cpu(self) -> bool:
        """Whether there is no GPU."""
        return self.device == 'cpu'


def look_at_machine() -> Machine:
    """Finds the device that a training takes, and its memory; 8 GB where it does not tell."""
    device = get_device()
    return Machine(device, _gpu_memory() if device == 'cuda' else _main_memory())


def _gpu_memory() -> float:
    # Asking PyTorch would open the GPU, and a process that has done so cannot be forked for the
    # rehearsal.
    command = ['nvidia-smi', '--query-gpu=memory.total', '--format=csv,noheader,nounits']
    if shutil.which(command[0]):
        with suppress(OSError, ValueError, subprocess.SubprocessError):
            text = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout
            return min(float(line) for line in text.split('\n') if line.strip()) / 1024
    return ASSUMED_GIGABYTES


def _main_memory() -> float:
    with suppress(AttributeError, OSError, ValueError):  # not every system has these names
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1024**3
    return ASSUMED_GIGABYTES
