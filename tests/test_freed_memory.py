"""Memory that was freed is used again without page faults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).resolve().parents[1] / 'segheads' / 'freed_memory.py'
PROGRAM = """
import resource, runpy, sys
import numpy
if len(sys.argv) > 2:
    runpy.run_path(sys.argv[1])['keep_freed_memory']()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    numpy.full(2**26, 1, numpy.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='only glibc has these thresholds')
def test_a_large_array_takes_the_place_of_one_that_was_freed():
    def faults(*arguments: str, **variables: str) -> int:
        others = {name: text for name, text in os.environ.items() if 'MALLOC_' not in name}
        command = [sys.executable, '-c', PROGRAM, str(FILE), *arguments]
        return int(subprocess.check_output(command, env={**others, **variables}))

    assert faults('kept') < 10
    # What the user has set stays: every array is mapped anew, which faults at least
    # once per huge page of 2 MiB; how many huge pages the kernel has free, varies.
    assert faults('kept', MALLOC_MMAP_THRESHOLD_='1000000') >= 2**26 // 2**21
