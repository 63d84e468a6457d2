"""Maps are cut into disjoint regions and come back whole."""

import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from segheads.layers import RegionGrid


@pytest.mark.parametrize('bins', [(1, 1), (4, 4), (2, 5), (5, 3)])
@pytest.mark.parametrize('size', [(5, 5), (8, 16), (9, 11), (20, 7)])
def test_regions_cover_the_map_once(size: tuple[int, int], bins: tuple[int, int]) -> None:
    grid = RegionGrid(size, bins, torch.device('cpu'))
    x = torch.arange(size[0] * size[1]).view(1, 1, *size).repeat(2, 3, 1, 1)
    regions = grid.split(x)
    assert regions.shape[:2] == (2, bins[0] * bins[1])
    assert torch.equal(grid.merge(regions, size), x)
    own = regions[0, :, :, 0][grid.inside]
    assert torch.equal(own.sort().values, x[0, 0].flatten())
    for index, region in enumerate(regions[0, :, :, 0]):
        row, column = divmod(index, bins[1])
        rows = slice(row * size[0] // bins[0], (row + 1) * size[0] // bins[0])
        columns = slice(column * size[1] // bins[1], (column + 1) * size[1] // bins[1])
        assert torch.equal(region[grid.inside[index]], x[0, 0, rows, columns].flatten())


@pytest.mark.skipif(not shutil.which('g++'), reason='no compiler')
def test_is_compiled_once_for_all_sizes() -> None:
    torch.compiler.reset()
    counters.clear()

    mixing = torch.randn(3, 3)

    def mix(x: torch.Tensor) -> torch.Tensor:
        grid = RegionGrid(x.shape[2:], (4, 4), x.device)
        return grid.merge(grid.split(x) @ mixing, x.shape[2:])

    compiled = torch.compile(mix, fullgraph=True, dynamic=True)
    for size in ((16, 24), (15, 21), (40, 13)):
        x = torch.randn(2, 3, *size)
        torch.testing.assert_close(compiled(x), torch.einsum('bchw,cd->bdhw', x, mixing))
    assert counters['stats']['unique_graphs'] == 1
