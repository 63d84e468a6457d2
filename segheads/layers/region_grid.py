"""Maps cut into regions of any size."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .size_tables import kept_per_size


class RegionGrid:
    """Disjoint regions of a map: cut it into them, and put it together again.

    Along a side of n bins, region i begins at ``floor(i * side / n)``. Where the bins do not divide
    the side, some regions lack a row or column; there the one beyond their end is gathered too, so
    that all have one size, and ``inside`` is False.

    Args:
        size (Sequence[int]): Height and width of the map, at least ``bins``.
        bins (tuple[int, int]): Number of regions along the height and the width.
        device (torch.device): Where the map is.

    Attributes:
        inside (Tensor): Which gathered pixels belong to their region, (R, Q): regions and the
            pixels of each in row-major order.
    """

    def __init__(self, size: Sequence[int], bins: tuple[int, int], device: torch.device) -> None:
        rows, row_inside, row_bin, row_place = _cut(size[0], bins[0], device)
        columns, column_inside, column_bin, column_place = _cut(size[1], bins[1], device)
        # By region and by pixel in it: (bins of the height, of the width, rows, columns).
        pixels = rows[:, None, :, None] * size[1] + columns[:, None, :]
        inside = row_inside[:, None, :, None] & column_inside[:, None, :]
        self._pixels = pixels.flatten()
        self.inside = inside.flatten(2).flatten(0, 1)
        # By pixel of the map, where it is in that order.
        region = row_bin[:, None] * bins[1] + column_bin
        places = (region * rows.shape[1] + row_place[:, None]) * columns.shape[1] + column_place
        self._places = places.flatten()

    def split(self, x: Tensor) -> Tensor:
        """Cut (B, C, H, W) into (B, R, Q, C)."""
        gathered = x.flatten(2).index_select(2, self._pixels)
        return gathered.transpose(1, 2).unflatten(1, self.inside.shape)

    def merge(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Put (B, R, Q, C) together to (B, C, *size)."""
        pixels = x.flatten(1, 2).index_select(1, self._places)
        return pixels.transpose(1, 2).unflatten(2, size)


@kept_per_size
def region_grid(size: Sequence[int], bins: tuple[int, int], device: torch.device) -> RegionGrid:
    """Return the :class:`RegionGrid`, kept for the next map of the size."""
    return RegionGrid(size, bins, device)


def _cut(extent: int, bins: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cut a side into bins.

    Returns:
        tuple[Tensor, Tensor, Tensor, Tensor]: The positions that each bin gathers, and whether
        they are its own, both (bins, length); the bin of each position of the side, and its place
        in the bin.
    """
    # Rounded up without negative numbers, which ONNX divides towards zero.
    length = (extent + bins - 1) // bins
    edges = torch.arange(bins + 1, device=device) * extent // bins
    gathered = edges[:-1, None] + torch.arange(length, device=device)
    inside = gathered < edges[1:, None]
    position = torch.arange(extent, device=device)
    own_bin = ((position + 1) * bins - 1) // extent
    place = position - own_bin * extent // bins
    return gathered.clamp(max=extent - 1), inside, own_bin, place
