"""The kernels compile for GPUs that are not there, and fit into their registers."""

import sys
from pathlib import Path

import pytest

pytest.importorskip('triton')
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.kernel_resources import DISASSEMBLER, kernels, resources  # noqa: E402

KERNELS = {kernel.fn.__name__: (kernel, *rest) for kernel, *rest in kernels(150)}


@pytest.mark.skipif(not DISASSEMBLER.exists(), reason='this Triton has no tools of CUDA')
@pytest.mark.parametrize('capability', [80, 90])
@pytest.mark.parametrize('logits', ['fp32', 'bf16', 'fp16'])
@pytest.mark.parametrize('name', KERNELS)
def test_nothing_is_spilled(name: str, logits: str, capability: int) -> None:
    used = resources(*KERNELS[name], logits, capability)
    print(name, logits, capability, used)
    assert used['spilled'] == 0
    # How many registers there are depends on the version of the compiler; beyond 255 it spills.
    assert used['shared'] <= 1024, 'more than the exchange of a few numbers between warps'
