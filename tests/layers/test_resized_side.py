"""Which cells a pixel needs is known from sizes, and holds of the weights that PyTorch computes."""

import itertools

import numpy as np
import pytest
import torch

from segheads.layers.resized_side import ResizedSide
from segheads.segmentors.tiled_prediction import _windows

CPU = torch.device('cpu')
LENGTHS = (1, 2, 3, 7, 16, 33, 64)
EXTENTS = (1, 2, 5, 16, 47, 64, 128, 513)


def assert_needs_are_known(side: ResizedSide, spare: int) -> None:
    """All weights lie between the first and the last cell, with few others between them."""
    is_used = side.in_order(side.weights).numpy() != 0
    place = np.arange(len(is_used))[:, None]
    is_known = (place >= side.first) & (place <= side.last)
    assert not (is_used & ~is_known).any()
    assert (is_known.sum(0) <= is_used.sum(0) + spare).all()


@pytest.mark.parametrize('align_corners', [False, True])
def test_resizing_any_length_to_any_other(align_corners: bool) -> None:
    for length, extent in itertools.product(LENGTHS, EXTENTS):
        side = ResizedSide.identity(length, torch.float32, CPU).resize(extent, align_corners)
        assert_needs_are_known(side, spare=2)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('extent', [64, 65, 90, 200])
def test_windows_that_overlap(extent: int, align_corners: bool) -> None:
    for cells, stride in itertools.product((4, 16), (16, 24, 64)):
        windows = _windows(extent, 64, stride)
        side = ResizedSide.of_windows(cells, windows, align_corners, torch.float32, CPU)
        torch.testing.assert_close(side.weights.sum(0), torch.ones(extent))
        assert_needs_are_known(side, spare=2 * len(windows))
        original = side.crop(3, extent - 5).flip().resize(extent // 3, align_corners)
        torch.testing.assert_close(original.weights.sum(0), torch.ones(extent // 3))
        assert_needs_are_known(original, spare=4 * len(windows))


def test_bands_cover_the_side() -> None:
    side = ResizedSide.identity(9, torch.float32, CPU).resize(40, False)
    bands = list(side.bands(16))
    assert [(pixels.start, pixels.stop) for pixels, _ in bands] == [(0, 16), (16, 32), (32, 40)]
    for pixels, cells in bands:
        inside = side.weights[cells, pixels].sum(0)
        torch.testing.assert_close(inside, torch.ones_like(inside))


def test_weights_alone_say_what_they_need() -> None:
    side = ResizedSide.of_windows(4, ((0, 16), (8, 24)), False, torch.float32, CPU)
    found = ResizedSide.from_weights(side.weights)
    assert_needs_are_known(found, spare=2)
