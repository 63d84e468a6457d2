"""Bilinear resizing tile by tile, for maps that are too large to be kept at full resolution.

Bilinear interpolation is separable and linear: with a matrix of weights per side, ``R`` for the
rows and ``C`` for the columns, the resized map is ``R @ map @ C.T``. Both matrices are bands, so a
tile of the result needs a small part of the map only. Maps are laid out with the channels last,
(h, w, C): then a tile is two matrix products, and what follows (softmax, argmax) runs over
contiguous memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from .resized_side import ResizedSide
from .size_tables import kept_per_size

# A tile is worked on several times: on a CPU it stays in the cache of a core, whose size is 1 MiB
# or more today. A GPU wants fewer and larger tiles.
CPU_TILE_VALUES = 2**18
GPU_TILE_VALUES = 2**24


@dataclass(frozen=True)
class Tile:
    """A rectangle of the resized map, and what it is interpolated from.

    Attributes:
        rows (slice): Its rows.
        columns (slice): Its columns.
        source_rows (slice): The rows of the map that it needs.
        source_columns (slice): The columns of the map that it needs.
        row_weights (Tensor): Weights (rows, source rows).
        column_weights (Tensor): Weights (columns, source columns).
    """

    rows: slice
    columns: slice
    source_rows: slice
    source_columns: slice
    row_weights: Tensor
    column_weights: Tensor

    def resize(self, source: Tensor) -> Tensor:
        """Interpolate the tile.

        Args:
            source (Tensor): The map (h, w, C).

        Returns:
            Tensor: The tile (rows, columns, C).
        """
        part = source[self.source_rows, self.source_columns]
        widened = self.column_weights @ part
        return (self.row_weights @ widened.flatten(1)).unflatten(1, widened.shape[1:])

    def add_gradient(self, gradient: Tensor, source_gradient: Tensor) -> None:
        """Bring the gradient of the tile back to the map.

        Args:
            gradient (Tensor): Gradient of the tile (rows, columns, C).
            source_gradient (Tensor): Gradient of the map (h, w, C); the tile's share is added.
        """
        widened = (self.row_weights.t() @ gradient.flatten(1)).unflatten(1, gradient.shape[1:])
        source_gradient[self.source_rows, self.source_columns] += self.column_weights.t() @ widened


def tiles(rows: ResizedSide, columns: ResizedSide, channels: int) -> Iterator[Tile]:
    """Cut a resized map into tiles, row by row.

    Args:
        rows (ResizedSide): How the rows of the map make those of the result.
        columns (ResizedSide): The same of the columns.
        channels (int): Number of channels of the map.

    Yields:
        Tile: The tiles, which cover the result without overlap. They need the cells of the map in
        the order of the sides.
    """
    if rows.weights.device.type == 'cpu':
        values = CPU_TILE_VALUES * torch.get_num_threads()
    else:
        values = GPU_TILE_VALUES
    edge = max(1, isqrt(values // channels))
    row_weights, column_weights = (side.in_order(side.weights).t() for side in (rows, columns))
    column_bands = list(columns.bands(edge))
    for row_band, source_rows in rows.bands(edge):
        for column_band, source_columns in column_bands:
            yield Tile(
                row_band,
                column_band,
                source_rows,
                source_columns,
                row_weights[row_band, source_rows],
                column_weights[column_band, source_columns],
            )


@kept_per_size
def bilinear_tiles(
    source_size: tuple[int, int],
    size: tuple[int, int],
    align_corners: bool,
    channels: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Tile, ...]:
    """Cut the result of a bilinear interpolation into tiles; kept for the next map of the size.

    Args:
        source_size (tuple[int, int]): Height and width of the map.
        size (tuple[int, int]): Height and width to resize to.
        align_corners (bool): Whether the corner pixels keep their places.
        channels (int): Number of channels of the map.
        dtype (torch.dtype): Data type of the map.
        device (torch.device): Where the map is.

    Returns:
        tuple[Tile, ...]: The tiles.
    """
    rows, columns = (
        ResizedSide.identity(length, dtype, device).resize(extent, align_corners)
        for length, extent in zip(source_size, size, strict=True)
    )
    return tuple(tiles(rows, columns, channels))
