"""Logits at the resolution of the image, computed when something asks for them."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor


class LogitsOnDemand:
    """Stands for the ``seg_logits`` of a result, and becomes them at the first look.

    Args:
        compute (Callable): Returns the logits (C, H, W).
    """

    def __init__(self, compute: Callable[[], Tensor]) -> None:
        self.compute = compute

    @cached_property
    def pixel_data(self) -> PixelData:
        """The logits as MMSegmentation keeps them."""
        return PixelData(data=self.compute())

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__') or name == 'compute':  # asked for while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.pixel_data, name)


def attach_logits(sample: SegDataSample, compute: Callable[[], Tensor]) -> None:
    """Lets ``sample.seg_logits`` be computed on demand.

    They are none of its data: ``'seg_logits' in sample`` stays False, and conversions and copies to
    other devices leave them out.

    Args:
        sample (SegDataSample): The result.
        compute (Callable): Returns the logits (C, H, W).
    """
    # Past the property, which takes only data and counts them among the sample's.
    object.__setattr__(sample, '_seg_logits', LogitsOnDemand(compute))
