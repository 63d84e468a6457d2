"""How the cells along one side of a map make the pixels along one side of an image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class ResizedSide:
    """A linear map from the cells of a side to pixels, most of whose weights are 0.

    Which cells a pixel needs is known from the sizes alone: to read it from weights on a GPU would
    mean to wait for all that the GPU has still to do.

    Attributes:
        weights (Tensor): Weights (cells, pixels).
        order (Tensor | None): The cells in the order of the image, where they are in another one.
        first (np.ndarray): For each pixel the first place in that order that it needs, (pixels,).
        last (np.ndarray): The last one.
    """

    weights: Tensor
    order: Tensor | None
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def identity(cls, length: int, dtype: torch.dtype, device: torch.device) -> 'ResizedSide':
        """Return the side whose pixels are its cells.

        Args:
            length (int): Number of cells.
            dtype (torch.dtype): Data type of the weights.
            device (torch.device): Where the weights are.

        Returns:
            ResizedSide: The side.
        """
        places = np.arange(length)
        return cls(torch.eye(length, dtype=dtype, device=device), None, places, places)

    @classmethod
    def from_weights(cls, weights: Tensor) -> 'ResizedSide':
        """Return the side that has given weights.

        Args:
            weights (Tensor): Weights (cells, pixels). On a GPU they are taken to be dense.

        Returns:
            ResizedSide: The side.
        """
        num_cells, extent = weights.shape
        order = weights.argmax(dim=1).argsort(stable=True)
        if weights.device.type != 'cpu':
            return cls(weights, order, np.zeros(extent, int), np.full(extent, num_cells - 1))
        is_used = weights[order].numpy() != 0
        return cls(weights, order, is_used.argmax(0), num_cells - 1 - is_used[::-1].argmax(0))

    @classmethod
    def of_windows(
        cls,
        num_cells: int,
        windows: Sequence[tuple[int, int]],
        align_corners: bool,
        dtype: torch.dtype,
        device: torch.device,
    ) -> 'ResizedSide':
        """Average windows over a side, each of which is resized from cells of its own.

        Args:
            num_cells (int): Number of cells of each window.
            windows (Sequence[tuple[int, int]]): Where each begins and ends, all of one length, from
                the begin to the end of the side without gaps.
            align_corners (bool): As in :func:`torch.nn.functional.interpolate`.
            dtype (torch.dtype): Data type of the weights.
            device (torch.device): Where the weights are.

        Returns:
            ResizedSide: The side, whose cells are those of the first window, of the second, and so
            on. In the order of the image those of overlapping windows interleave.
        """
        length, extent = windows[0][1] - windows[0][0], windows[-1][1]
        window_side = cls.identity(num_cells, dtype, device).resize(length, align_corners)
        if len(windows) == 1:
            return window_side
        weights = window_side.weights.new_zeros(len(windows), num_cells, extent)
        counts = weights.new_zeros(extent)
        order, places = _interleave(num_cells, windows, device)
        first, last = np.full(extent, places.size), np.full(extent, -1)
        for window_weights, window_places, (start, stop) in zip(
            weights, places, windows, strict=True
        ):
            window_weights[:, start:stop] = window_side.weights
            counts[start:stop] += 1
            part = slice(start, stop)
            first[part] = np.minimum(first[part], window_places[window_side.first])
            last[part] = np.maximum(last[part], window_places[window_side.last])
        return cls((weights / counts).flatten(0, 1), order, first, last)

    def crop(self, start: int, stop: int) -> 'ResizedSide':
        """Keep the pixels from ``start`` to before ``stop``."""
        part = slice(start, stop)
        return replace(
            self, weights=self.weights[:, part], first=self.first[part], last=self.last[part]
        )

    def flip(self) -> 'ResizedSide':
        """Turn the order of the pixels round."""
        return replace(
            self, weights=self.weights.flip(1), first=self.first[::-1], last=self.last[::-1]
        )

    def resize(self, extent: int, align_corners: bool) -> 'ResizedSide':
        """Resize the pixels by :func:`resize_weights`.

        Args:
            extent (int): The number of pixels to resize to.
            align_corners (bool): Whether the outermost pixels keep their places.

        Returns:
            ResizedSide: The side.
        """
        before, after = neighbours(self.weights.shape[1], extent, align_corners)
        return replace(
            self,
            weights=resize_weights(self.weights, extent, align_corners),
            first=np.minimum(self.first[before], self.first[after]),
            last=np.maximum(self.last[before], self.last[after]),
        )

    def in_order(self, cells: Tensor) -> Tensor:
        """Bring the cells along the first dimension of a tensor into the order of the image."""
        return cells if self.order is None else cells.index_select(0, self.order)

    def bands(self, length: int) -> Iterator[tuple[slice, slice]]:
        """Cut the pixels into bands, each with the range of cells, in order, that it needs.

        Args:
            length (int): Number of pixels of a band.

        Yields:
            tuple[slice, slice]: The pixels, and the cells.
        """
        for start in range(0, len(self.first), length):
            band = slice(start, min(start + length, len(self.first)))
            yield band, slice(int(self.first[band].min()), int(self.last[band].max()) + 1)


def resize_weights(source: Tensor, extent: int, align_corners: bool) -> Tensor:
    """Resize along one side; of an identity matrix it makes the weights of the interpolation.

    The weights come from PyTorch's own interpolation, and so are those by which
    :func:`torch.nn.functional.interpolate` resizes maps bilinearly on the same device.

    Args:
        source (Tensor): Values along the side, (n, length).
        extent (int): The length to resize to.
        align_corners (bool): Whether the outermost pixels keep their places.

    Returns:
        Tensor: Resized values (n, extent).
    """
    if source.shape[1] == extent:
        return source
    return F.interpolate(source[None], extent, mode='linear', align_corners=align_corners)[0]


def neighbours(length: int, extent: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Find between which cells the pixels of a linearly resized side lie.

    Args:
        length (int): Number of cells.
        extent (int): Number of pixels.
        align_corners (bool): Whether the outermost pixels keep their places.

    Returns:
        tuple[np.ndarray, np.ndarray]: The cell before and the cell behind each pixel, (extent,).
        Where a pixel lies on a cell but for rounding, those on both sides of it.
    """
    pixel = np.arange(extent)
    if length == extent:
        return pixel, pixel
    if align_corners:
        position = pixel * ((length - 1) / max(extent - 1, 1))
    else:
        position = ((pixel + 0.5) * (length / extent) - 0.5).clip(0)
    # Weights in single precision are those of positions that are rounded so.
    rounding = 4 * np.finfo(np.float32).eps * length
    before = np.floor(position - rounding).astype(int).clip(0)
    behind = np.floor(position + rounding).astype(int) + 1
    return before, behind.clip(max=length - 1)


def _interleave(
    num_cells: int, windows: Sequence[tuple[int, int]], device: torch.device
) -> tuple[Tensor, np.ndarray]:
    """Order the cells of windows by their centres.

    Returns:
        tuple[Tensor, np.ndarray]: The cells in order, (windows * cells,), and the place of each
        cell in this order, (windows, cells).
    """
    # In integers, so that the order on the device is the one that is known here. All windows begin
    # a stride after the one before; but the last one, which ends with the side.
    length = windows[0][1] - windows[0][0]
    stride = windows[1][0] - windows[0][0]
    starts = torch.arange(len(windows), device=device) * stride
    starts = starts.clamp(max=windows[-1][0])
    cells = (2 * torch.arange(num_cells, device=device) + 1) * length
    order = (2 * num_cells * starts[:, None] + cells).flatten().argsort(stable=True)

    known_starts = np.array([start for start, _ in windows])
    known_cells = (2 * np.arange(num_cells) + 1) * length
    keys = (2 * num_cells * known_starts[:, None] + known_cells).flatten()
    places = np.empty(keys.size, int)
    places[np.argsort(keys, kind='stable')] = np.arange(keys.size)
    return order, places.reshape(len(windows), num_cells)
