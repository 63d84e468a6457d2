import shutil

import pytest
import torch
from torch._dynamo.utils import counters
from torch.nn import functional as F

from segheads import compat
from segheads.layers import adaptive_avg_pool2d


@pytest.mark.parametrize('size', [(1, 1), (3, 5), (7, 4), (8, 13), (11, 17), (20, 30)])
def test_traced_form_equals_the_ordinary_one(size: tuple, monkeypatch) -> None:
    x = torch.randn(2, 3, 11, 17, dtype=torch.float64)
    ordinary = adaptive_avg_pool2d(x, size)
    assert torch.equal(ordinary, F.adaptive_avg_pool2d(x, size))
    monkeypatch.setattr(compat, 'is_tracing', lambda: True)
    torch.testing.assert_close(adaptive_avg_pool2d(x, size), ordinary, rtol=1e-14, atol=1e-14)


def test_is_exported_in_that_form() -> None:
    class Pool(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return adaptive_avg_pool2d(x, [(extent + 1) // 2 for extent in x.shape[2:]])

    dynamic = torch.export.Dim.DYNAMIC
    program = torch.export.export(
        Pool(), (torch.randn(2, 3, 8, 10),), dynamic_shapes={'x': {2: dynamic, 3: dynamic}}
    )
    assert not any('adaptive' in str(node.target) for node in program.graph.nodes)
    x = torch.randn(2, 3, 11, 17)
    torch.testing.assert_close(program.module()(x), F.adaptive_avg_pool2d(x, (6, 9)))


@pytest.mark.skipif(not shutil.which('g++'), reason='no compiler')
def test_is_compiled_once_for_all_sizes() -> None:
    torch.compiler.reset()
    counters.clear()

    @torch.compile(fullgraph=True, dynamic=True)
    def halve(x: torch.Tensor) -> torch.Tensor:
        return adaptive_avg_pool2d(x, [(extent + 1) // 2 for extent in x.shape[2:]])

    for height, width in ((8, 10), (11, 17), (40, 36)):
        x = torch.randn(2, 7, height, width)  # 2 * 7 is no side: PyTorch 2.6 compiles anew for one
        expected = F.adaptive_avg_pool2d(x, ((height + 1) // 2, (width + 1) // 2))
        torch.testing.assert_close(halve(x), expected)
    assert counters['stats']['unique_graphs'] == 1
