"""Adaptive average pooling that can be compiled and exported for any size."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segheads import compat

from .pixel_sums import sum_over_pixels


def adaptive_avg_pool2d(x: Tensor, size: Sequence[int]) -> Tensor:
    """Average a map over a grid of bins, as ``torch.nn.functional.adaptive_avg_pool2d``.

    While a model is traced it is the product ``rows @ x @ columns``, in which each line of a matrix
    averages over one bin. PyTorch's own is compiled anew for every size, and exported to ONNX as a
    loop over bins whose number and edges are those of the example, so that the file is silently
    wrong at other sizes.

    Args:
        x (Tensor): The map, (B, C, H, W).
        size (Sequence[int]): Height and width of the grid.

    Returns:
        Tensor: (B, C, *size).
    """
    if not compat.is_tracing():
        return F.adaptive_avg_pool2d(x, size)
    rows = _averages(x.shape[2], size[0], x)
    columns = _averages(x.shape[3], size[1], x)
    return sum_over_pixels(sum_over_pixels(rows, x), columns.transpose(0, 1))


def _averages(extent: int, bins: int, x: Tensor) -> Tensor:
    """Weights (bins, extent) of the positions along a side in the mean of each bin."""
    position = torch.arange(extent, device=x.device)
    bin_number = torch.arange(bins, device=x.device)
    begin = bin_number * extent // bins
    end = ((bin_number + 1) * extent + bins - 1) // bins
    inside = (position >= begin[:, None]) & (position < end[:, None])
    dtype = torch.promote_types(x.dtype, torch.float32)
    return inside.to(dtype) / (end - begin)[:, None].to(dtype)
