"""Between which cells of a map each pixel lies when the map is resized bilinearly."""

from typing import NamedTuple

import torch
from torch import Tensor

from .size_tables import kept_per_size


class InterpolationTable(NamedTuple):
    """Bilinear interpolation along one side, as kernels read it.

    Attributes:
        cell (Tensor): Cell before each pixel (extent,), int32; the other one is the next, or the
            same at the end.
        share (Tensor): Weight of the other cell (extent,), float32.
        start (Tensor): First pixel behind each cell (length + 2,), int32: between the cells ``i``
            and ``i + 1`` are the pixels ``range(start[i + 1], start[i + 2])``, none for ``i = -1``.
    """

    cell: Tensor
    share: Tensor
    start: Tensor


@kept_per_size
def interpolation_table(
    length: int, extent: int, align_corners: bool, device: torch.device
) -> InterpolationTable:
    """Tabulate how :func:`torch.nn.functional.interpolate` resizes a side; kept for the next map.

    Nothing waits for the device.

    Args:
        length (int): Number of cells.
        extent (int): Number of pixels.
        align_corners (bool): Whether the outermost pixels keep their places.
        device (torch.device): Where the table is needed.

    Returns:
        InterpolationTable: The table.
    """
    pixel = torch.arange(extent, dtype=torch.float32, device=device)
    if align_corners:
        position = pixel * ((length - 1) / (extent - 1) if extent > 1 else 0.0)
    else:
        position = ((pixel + 0.5) * (length / extent) - 0.5).clamp(min=0)
    cell = position.floor().clamp(max=length - 1)
    share = torch.where(cell == length - 1, 0, position - cell)
    cells = torch.arange(-1, length + 1, dtype=torch.float32, device=device)
    return InterpolationTable(cell.int(), share, torch.searchsorted(cell, cells, out_int32=True))
