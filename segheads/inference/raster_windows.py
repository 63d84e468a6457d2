"""Sliding windows over rasters of any size, block by block, as over a whole image.

A model with ``test_cfg=dict(mode='slide')`` averages the logits of the windows that contain a
pixel. A block is read with all windows that touch it, at the places that they have in the whole
raster, so that its class map is that part of the class map of the whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from mmengine.config import ConfigDict
from mmseg.models import BaseSegmentor

from segheads.configs.windows import check_windows
from segheads.mistakes import UserMistake

DEFAULT_WINDOW = 1024
# The memory of a block grows with its pixels times the number of classes.
BLOCK_SIDE = 2048


class Span(NamedTuple):
    """A part of a side of the raster.

    Attributes:
        start (int): Where it begins.
        stop (int): Where it ends.
        read_start (int): Where its windows begin.
        read_stop (int): Where they end, at most at the end of the raster.
    """

    start: int
    stop: int
    read_start: int
    read_stop: int

    @property
    def core(self) -> slice:
        """Where the part lies in what is read."""
        return slice(self.start - self.read_start, self.stop - self.read_start)


class Windows(NamedTuple):
    """The windows of a model, by rows and columns.

    Attributes:
        crop (tuple[int, int]): Height and width.
        stride (tuple[int, int]): From one to the next.
        divisor (int): To a multiple of which the model pads images, at the lower and right end.
    """

    crop: tuple[int, int]
    stride: tuple[int, int]
    divisor: int = 1

    def blocks(self, size: tuple[int, int]) -> list[tuple[Span, Span]]:
        """Cuts a raster into blocks.

        Args:
            size (tuple[int, int]): Its height and width.

        Returns:
            list[tuple[Span, Span]]: Rows and columns of each block.
        """
        sides = [
            list(spans(*side, self.divisor))
            for side in zip(size, self.crop, self.stride, strict=True)
        ]
        return [(rows, columns) for rows in sides[0] for columns in sides[1]]


def spans(extent: int, window: int, stride: int, divisor: int = 1) -> Iterator[Span]:
    """Cuts a side into parts of about ``BLOCK_SIDE``, with the windows that touch each.

    Args:
        extent (int): Length of the side.
        window (int): Length of a window.
        stride (int): From one window to the next; the last one ends where the side does.
        divisor (int): To a multiple of which the side is padded. Default: 1.

    Yields:
        Span: Parts that follow each other.
    """
    padded = -(-extent // divisor) * divisor
    count = max(padded - window + stride - 1, 0) // stride + 1
    starts = [max(min(index * stride, padded - window), 0) for index in range(count)]
    at_once = max(BLOCK_SIDE // stride, 1)
    cuts = [starts[index] for index in range(0, count, at_once)] + [extent]
    # Padding may be all that the last windows add.
    cuts = sorted({min(cut, extent) for cut in cuts})
    for start, stop in zip(cuts, cuts[1:], strict=False):
        touching = [first for first in starts if first < stop and first + window > start]
        yield Span(start, stop, touching[0], min(touching[-1] + window, extent))


def windows_of(model: BaseSegmentor, window: int | None) -> Windows:
    """Returns the windows by which a model predicts a raster.

    Args:
        model (BaseSegmentor): The model.
        window (int | None): Height and width of windows that overlap by a quarter; None for those
            of the model, else of 1024 pixels.

    Returns:
        Windows: The windows.

    Raises:
        UserMistake: If the model pads images in a way that no windows can follow.
    """
    test_cfg = model.test_cfg
    if window is None and test_cfg.get('mode') == 'slide':
        check_windows(test_cfg)
        crop, stride = tuple(test_cfg.crop_size), tuple(test_cfg.stride)
    else:
        side = window or DEFAULT_WINDOW
        crop, stride = (side, side), (max(side * 3 // 4, 1),) * 2
    padding = model.data_preprocessor.test_cfg or {}
    divisor = padding.get('size_divisor') or 1
    if padding.get('size') or any(length % divisor for length in (*crop, *stride)):
        raise UserMistake(
            f'data_preprocessor.test_cfg={dict(padding)} of the model pads images, which windows '
            f'of {crop[0]}x{crop[1]} pixels every {stride[0]}x{stride[1]} cannot follow; give a '
            f'--window that is a multiple of {4 * divisor}, and leave `size` out'
        )
    return Windows(crop, stride, divisor)


@contextmanager
def sliding(model: BaseSegmentor, windows: Windows) -> Iterator[None]:
    """Lets a model predict by windows, for the length of a block.

    Args:
        model (BaseSegmentor): The model.
        windows (Windows): The windows.
    """
    before = model.test_cfg
    settings = dict(mode='slide', crop_size=windows.crop, stride=windows.stride)
    model.test_cfg = ConfigDict(before, **settings)
    try:
        yield
    finally:
        model.test_cfg = before
