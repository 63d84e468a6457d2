"""Logits at the resolution of the image, computed when something asks for them."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from segheads.layers.tiled_resize import Tile

TilesOfLogits = Callable[[], Iterator[tuple[Tile, Tensor]]]


class LogitsOnDemand:
    """Stands for the ``seg_logits`` of a result, and becomes them at the first look.

    Args:
        full_shape (tuple[int, int, int]): Their shape, (C, H, W).
        tiles (Callable): Returns an iterator over tiles that cover the image, with their logits
            (rows, columns, C).
    """

    def __init__(self, full_shape: tuple[int, int, int], tiles: TilesOfLogits) -> None:
        self.full_shape = full_shape
        self.tiles = tiles

    @cached_property
    def pixel_data(self) -> PixelData:
        """The logits as MMSegmentation keeps them, (C, H, W)."""
        with torch.no_grad():
            logits = None
            for tile, values in self.tiles():
                if logits is None:
                    logits = values.new_empty(self.full_shape)
                logits[:, tile.rows, tile.columns] = values.permute(2, 0, 1)
        return PixelData(data=logits)

    def __getattr__(self, name: str) -> Any:
        # Asked for while it is copied or unpickled.
        if name.startswith('__') or name in ('full_shape', 'tiles'):
            raise AttributeError(name)
        return getattr(self.pixel_data, name)


def attach_logits(
    sample: SegDataSample, full_shape: tuple[int, int, int], tiles: TilesOfLogits
) -> None:
    """Lets ``sample.seg_logits`` be computed on demand.

    They are none of its data: ``'seg_logits' in sample`` stays False, and conversions and copies to
    other devices leave them out.

    Args:
        sample (SegDataSample): The result.
        full_shape (tuple[int, int, int]): As for :class:`LogitsOnDemand`.
        tiles (Callable): As for :class:`LogitsOnDemand`.
    """
    # Past the property, which takes only data and counts them among the sample's.
    object.__setattr__(sample, '_seg_logits', LogitsOnDemand(full_shape, tiles))
