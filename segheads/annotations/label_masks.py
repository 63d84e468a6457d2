"""Mask files whose values or colours stand for classes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segheads.data.mask_files import without_pixel_limit
from segheads.mistakes import UserMistake

from .records import Color, Labels, listed


@dataclass(frozen=True)
class LabelMask:
    """The annotation of an image by a file of its size.

    Attributes:
        path (Path): The file.
        names (Mapping[int, str | None]): Name of the class for each value, or for each colour as
            65536 red + 256 green + blue; None for what is ignored.
        is_color (bool): Whether colours count, not values. Default: False.
        uncovered (frozenset[int]): Values that stand for no class, which become the background
            where there is one. Default: none.
    """

    path: Path
    names: Mapping[int, str | None]
    is_color: bool = False
    uncovered: frozenset[int] = frozenset()

    def size(self) -> tuple[int, int] | None:
        """Returns height and width of the file; None if it cannot be read, as painting tells."""
        try:
            with Image.open(self.path) as image:
                return image.height, image.width
        except Exception:  # a damaged file makes a decoder raise anything
            return None

    def paint(self, height: int, width: int, labels: Labels) -> np.ndarray:
        """Replaces values by class ids.

        Args:
            height (int): Height of the image.
            width (int): Width of the image.
            labels (Labels): Class ids.

        Returns:
            numpy.ndarray: The class map, (height, width).

        Raises:
            UserMistake: If the file cannot be read, has another size, or holds a value that stands
                for nothing.
        """
        mask = read_colors(self.path) if self.is_color else read_values(self.path)
        if mask.shape != (height, width):
            raise UserMistake(
                f'its mask {self.path.name} has {mask.shape[1]}x{mask.shape[0]} pixels, not '
                f'{width}x{height}'
            )
        known = np.array(sorted(self.names), dtype=np.int64)
        ids = np.array([self._class_id(value, labels) for value in known], labels.dtype)
        places = np.minimum(np.searchsorted(known, mask), len(known) - 1)
        unknown = known[places] != mask
        if unknown.any():
            values = [self._write(value) for value in distinct(mask[unknown])]
            what = 'colours' if self.is_color else 'values'
            raise UserMistake(
                f'its mask {self.path.name} has {what} that stand for no class: {listed(values)}'
            )
        return ids[places]

    def _class_id(self, value: int, labels: Labels) -> int:
        if value in self.uncovered:
            return labels.background
        name = self.names[value]
        return labels.ignored if name is None else labels.ids[name]

    def _write(self, value: int) -> str:
        return color_name(unpacked(value)) if self.is_color else str(value)


def read_values(path: Path) -> np.ndarray:
    """Reads the values of a mask: palette indices, or shades of grey.

    Args:
        path (Path): The file.

    Returns:
        numpy.ndarray: Whole numbers, (H, W).

    Raises:
        UserMistake: If it cannot be read, or has colours.
    """
    image = open_mask(path)
    if image.mode == 'F':
        values = np.asarray(image)
        if not np.array_equal(values, np.rint(values)):
            raise UserMistake(f'its mask {path.name} holds numbers that are not whole')
        return values.astype(np.int64)
    if image.mode in ('L', 'P', '1') or image.mode.startswith('I'):
        return np.asarray(image).astype(np.int32)
    if image.mode == 'LA':
        return np.asarray(image)[..., 0].astype(np.int32)
    pixels = np.asarray(image.convert('RGB')).astype(np.int32)
    if (pixels != pixels[..., :1]).any():
        raise UserMistake(f'its mask {path.name} has colours, others of the source are grey')
    return pixels[..., 0]


def read_colors(path: Path) -> np.ndarray:
    """Reads the colours of a mask, as 65536 red + 256 green + blue.

    Args:
        path (Path): The file.

    Returns:
        numpy.ndarray: (H, W) in int32.

    Raises:
        UserMistake: If it cannot be read.
    """
    pixels = np.asarray(open_mask(path).convert('RGB')).astype(np.int32)
    return pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]


def open_mask(path: Path) -> Image.Image:
    """Opens and decodes a mask.

    Raises:
        UserMistake: If it cannot be read.
    """
    try:
        try:
            return _decoded(path)
        except Image.DecompressionBombError:
            # Its image, which OpenCV reads, may have as many pixels.
            with without_pixel_limit():
                return _decoded(path)
    except Exception as error:  # a damaged file makes a decoder raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserMistake(f'its mask {path.name} cannot be read ({reason[:120]})') from error


def _decoded(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def distinct(values: np.ndarray) -> list[int]:
    """Lists the values of an array once each, in order.

    Only where a value differs from the one before is it looked at, which is rare in masks.
    """
    flat = values.ravel()
    starts = np.concatenate([flat[:1], flat[1:][flat[1:] != flat[:-1]]])
    return np.unique(starts).tolist()


def packed(color: Iterable[int]) -> int:
    """Writes a colour as one number."""
    red, green, blue = color
    return red << 16 | green << 8 | blue


def unpacked(value: int) -> Color:
    """Reads a colour from one number."""
    return int(value) >> 16 & 0xFF, int(value) >> 8 & 0xFF, int(value) & 0xFF


def color_name(color: Color) -> str:
    """Names a class by its colour, for want of a name."""
    return 'rgb {} {} {}'.format(*color)
