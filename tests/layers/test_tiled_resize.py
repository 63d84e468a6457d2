"""Tiles of a resized map are what PyTorch's interpolation makes there."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from segheads.layers import tiled_resize
from segheads.layers.tiled_resize import bilinear_tiles

SIZES = [
    ((8, 8), (64, 64)),
    ((5, 7), (33, 50)),
    ((6, 9), (6, 40)),
    ((9, 11), (9, 11)),
    ((20, 31), (7, 13)),
    ((1, 1), (5, 4)),
    ((4, 1), (1, 9)),
]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled_resize, 'CPU_TILE_VALUES', 3 * 11**2)
    bilinear_tiles.cache_clear()


def draw(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(('source_size', 'size'), SIZES)
def test_tiles_and_their_gradient(
    source_size: tuple[int, int], size: tuple[int, int], align_corners: bool
) -> None:
    source = draw(1, 3, *source_size).requires_grad_()
    expected = F.interpolate(source, size, mode='bilinear', align_corners=align_corners)
    gradient = draw(*expected.shape)
    expected.backward(gradient)

    channels_last = source.detach()[0].permute(1, 2, 0).contiguous()
    resized = torch.full((*size, 3), float('nan'), dtype=torch.float64)
    source_gradient = torch.zeros_like(channels_last)
    tiles = bilinear_tiles(source_size, size, align_corners, 3, source.dtype, source.device)
    for tile in tiles:
        place = tile.rows, tile.columns
        assert resized[place].isnan().all(), 'tiles overlap'
        resized[place] = tile.resize(channels_last)
        tile.add_gradient(gradient[0].permute(1, 2, 0)[place], source_gradient)
    torch.testing.assert_close(resized.permute(2, 0, 1), expected[0], rtol=0, atol=1e-13)
    torch.testing.assert_close(
        source_gradient.permute(2, 0, 1), source.grad[0], rtol=1e-12, atol=1e-12
    )


def test_a_tile_needs_a_small_part_of_the_map() -> None:
    tiles = bilinear_tiles((40, 40), (320, 320), False, 3, torch.float32, torch.device('cpu'))
    assert len(tiles) == 30**2
    assert max(tile.row_weights.shape[1] for tile in tiles) == 4
    assert max(tile.column_weights.shape[1] for tile in tiles) == 4


def test_single_precision() -> None:
    # With up to 3 channels, PyTorch may take a kernel in which positions are rounded otherwise.
    source = draw(1, 5, 33, 47, dtype=torch.float32)
    expected = F.interpolate(source, (130, 187), mode='bilinear')
    for tile in bilinear_tiles((33, 47), (130, 187), False, 5, source.dtype, source.device):
        torch.testing.assert_close(
            tile.resize(source[0].permute(1, 2, 0)).permute(2, 0, 1),
            expected[0, :, tile.rows, tile.columns],
            rtol=0,
            atol=1e-6,
        )
