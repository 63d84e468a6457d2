"""From cells of a network's output to pixels: what each row and column weighs, as matrices.

Resizing, averaging overlapping windows and cutting off padding are separable and linear, so that a
matrix for the rows and one for the columns hold all of it, as in
``segheads.segmentors.tiled_prediction``.
"""

from collections.abc import Sequence

import numpy as np


def windows_along(extent: int, window: int, stride: int) -> list[slice]:
    """Places windows along a side, the last one at its end.

    Args:
        extent (int): Length of the side in pixels.
        window (int): Length of a window.
        stride (int): From one window to the next.

    Returns:
        list[slice]: The windows; one of the whole side, where it is no longer than a window.
    """
    number = max(extent - window + stride - 1, 0) // stride + 1
    stops = [min(index * stride + window, extent) for index in range(number)]
    return [slice(max(stop - window, 0), stop) for stop in stops]


def resize_matrix(source: int, extent: int, align_corners: bool) -> np.ndarray:
    """Computes the weights by which PyTorch's bilinear interpolation resizes along a side.

    Args:
        source (int): Cells along the side.
        extent (int): Pixels along the side.
        align_corners (bool): Whether the outermost cells and pixels have the same middle.

    Returns:
        numpy.ndarray: Weights (extent, source) in float32.
    """
    # In float32, as PyTorch computes them.
    index = np.arange(extent, dtype=np.float32)
    if align_corners:
        scale = np.float32((source - 1) / (extent - 1)) if extent > 1 else np.float32(0)
        position = index * scale
    else:
        scale = np.float32(source / extent)
        position = np.maximum((index + np.float32(0.5)) * scale - np.float32(0.5), 0)
    lower = np.minimum(position.astype(np.int64), source - 1)
    upper = np.minimum(lower + 1, source - 1)
    share = np.clip(position - lower.astype(np.float32), 0, 1)
    weights = np.zeros((extent, source), np.float32)
    rows = np.arange(extent)
    np.add.at(weights, (rows, lower), 1 - share)
    np.add.at(weights, (rows, upper), share)
    return weights


def pixel_weights(
    cells: int, windows: Sequence[slice], kept: int, extent: int, align_corners: bool
) -> np.ndarray:
    """Computes the weights of the cells of windows, side by side, in the pixels of an image.

    Args:
        cells (int): Cells of a window along the side.
        windows (Sequence[slice]): The windows along the side of the network's input.
        kept (int): How much of that side is no padding.
        extent (int): The side of the image that is asked for.
        align_corners (bool): As in :func:`resize_matrix`.

    Returns:
        numpy.ndarray: Weights (extent, cells of all windows) in float32.
    """
    stop = windows[-1].stop
    weights = np.zeros((stop, len(windows), cells), np.float32)
    counts = np.zeros((stop, 1, 1), np.float32)
    for index, window in enumerate(windows):
        length = window.stop - window.start
        weights[window, index] = resize_matrix(cells, length, align_corners)
        counts[window] += 1
    weights = (weights / counts).reshape(stop, -1)[:kept]
    return weights if kept == extent else resize_matrix(kept, extent, align_corners) @ weights
