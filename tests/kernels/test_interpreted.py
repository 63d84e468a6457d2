"""The tests of the kernels, in Triton's interpreter, which runs them on a CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('triton')

HERE = Path(__file__).parent


def test_kernels_in_the_interpreter() -> None:
    variables = dict(os.environ, TRITON_INTERPRET='1', CUDA_VISIBLE_DEVICES='-1')
    run = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', HERE],
        capture_output=True,
        text=True,
        env=variables,
        cwd=HERE.parents[1],
    )
    assert run.returncode == 0, run.stdout[-5000:]
    assert ' passed' in run.stdout
