"""Class maps from logits at low resolution, without logits at the size of the image."""

from collections.abc import Iterator

import numpy as np

# A tile is worked on several times: it stays in the cache of a core.
TILE_VALUES = 2**17


class Upsampling:
    """Logits of a network, and what they become at the size of the image.

    Args:
        logits (numpy.ndarray): Logits (C, h, w) in float32.
        row_weights (numpy.ndarray): Weights (H, h) of their rows in those of the image.
        column_weights (numpy.ndarray): Weights (W, w) of their columns.
    """

    def __init__(
        self, logits: np.ndarray, row_weights: np.ndarray, column_weights: np.ndarray
    ) -> None:
        # In the order of the image: the cells of overlapping windows interleave.
        row_order, self.row_weights = _in_order(row_weights)
        column_order, self.column_weights = _in_order(column_weights)
        values = logits.transpose(1, 2, 0)
        if row_order is not None:
            values = values[row_order]
        if column_order is not None:
            values = values[:, column_order]
        self.values = np.ascontiguousarray(values)  # (h, w, C)
        self.shape = len(row_weights), len(column_weights)

    def class_map(self) -> np.ndarray:
        """Finds the class with the largest logit at each pixel.

        Every pixel is a mean of cells, with weights that are not negative. Where all cells around
        a tile have the same class, so have its pixels, and nothing is interpolated there.

        Returns:
            numpy.ndarray: Classes (H, W) in int64.
        """
        classes = np.empty(self.shape, np.int64)
        coarse = self.values.argmax(axis=2)
        for rows, columns, source_rows, source_columns in self._tiles():
            part = coarse[source_rows, source_columns]
            if (part == part[0, 0]).all():
                classes[rows, columns] = part[0, 0]
            else:
                tile = self._resize(rows, columns, source_rows, source_columns)
                classes[rows, columns] = tile.argmax(axis=2)
        return classes

    def logits(self) -> np.ndarray:
        """Resizes the logits.

        Returns:
            numpy.ndarray: Logits (C, H, W) in float32.
        """
        logits = np.empty((self.values.shape[2], *self.shape), np.float32)
        for tile in self._tiles():
            rows, columns = tile[:2]
            logits[:, rows, columns] = self._resize(*tile).transpose(2, 0, 1)
        return logits

    def _resize(
        self, rows: slice, columns: slice, source_rows: slice, source_columns: slice
    ) -> np.ndarray:
        """Interpolates a tile (rows, columns, C)."""
        part = self.values[source_rows, source_columns]
        widened = self.column_weights[columns, source_columns] @ part
        tile = self.row_weights[rows, source_rows] @ widened.reshape(len(widened), -1)
        return tile.reshape(-1, *widened.shape[1:])

    def _tiles(self) -> Iterator[tuple[slice, slice, slice, slice]]:
        """Yields the tiles, and the part of the map that each needs."""
        edge = int(np.clip((TILE_VALUES / self.values.shape[2]) ** 0.5, 8, 64))
        column_bands = list(_bands(self.column_weights, edge))
        for rows, source_rows in _bands(self.row_weights, edge):
            for columns, source_columns in column_bands:
                yield rows, columns, source_rows, source_columns


def _in_order(weights: np.ndarray) -> tuple[np.ndarray | None, np.ndarray]:
    """Orders the cells along a side by the pixel that they weigh most in; None if they are."""
    # Those of the padding, which weigh nothing, come last.
    position = np.where(weights.any(axis=0), weights.argmax(axis=0), len(weights))
    order = position.argsort(kind='stable')
    if (order == np.arange(len(order))).all():
        return None, weights
    return order, np.ascontiguousarray(weights[:, order])


def _bands(weights: np.ndarray, length: int) -> Iterator[tuple[slice, slice]]:
    """Cuts a side into bands, each with the range of cells that it needs."""
    for start in range(0, len(weights), length):
        pixels = slice(start, min(start + length, len(weights)))
        used = np.flatnonzero(weights[pixels].any(axis=0))
        yield pixels, slice(int(used[0]), int(used[-1]) + 1)
