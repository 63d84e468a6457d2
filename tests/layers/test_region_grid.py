"""Maps are cut into disjoint regions and come back whole."""

import pytest
import torch

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
