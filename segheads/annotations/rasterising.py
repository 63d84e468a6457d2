"""Shapes of annotations, as pixels.

A pixel belongs to an outline drawn in continuous coordinates if its centre lies inside: shapes that
share an edge share no pixel. Tools whose coordinates name pixels count the pixels on the outline as
well, and so do their shapes here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from .geometry import check_near
from .records import Labels


class Region(NamedTuple):
    """Pixels of a shape, in a part of the image.

    Attributes:
        top (int): First row of the part.
        left (int): First column of the part.
        mask (numpy.ndarray): Which of its pixels belong to the shape, (h, w) in bool.
    """

    top: int
    left: int
    mask: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Something drawn on an image.

    Attributes:
        label (str): Name of its class.
        layer (int): Shapes of a higher layer lie over those of lower ones. Default: 0.
    """

    label: str
    layer: int = 0

    def region(self, height: int, width: int, pen: int) -> Region:
        """Finds the pixels of the shape.

        Args:
            height (int): Height of the image.
            width (int): Width of the image.
            pen (int): Width of lines in pixels.

        Returns:
            Region: Its pixels inside of the image; an empty mask if there are none.

        Raises:
            UserMistake: If the shape is none.
        """
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Polygon(Shape):
    """An area inside of an outline.

    Attributes:
        points (numpy.ndarray): Corners, (N, 2) as x and y.
        holes (Sequence[numpy.ndarray]): Outlines of what is cut out. Default: ().
        names_pixels (bool): Whether coordinates are those of pixels, all of which count, instead of
            continuous ones with 0 at the edge of the image. Default: False.
    """

    points: np.ndarray
    holes: Sequence[np.ndarray] = ()
    names_pixels: bool = False

    def region(self, height: int, width: int, pen: int) -> Region:
        """Fills the outline."""
        rings = [check_near(ring, height, width) for ring in (self.points, *self.holes)]
        if not self.names_pixels:
            return fill(rings, height, width)
        canvas = Image.new('L', (width, height))
        for index, ring in enumerate(ring for ring in rings if len(ring)):
            inside = int(index == 0)
            # Pillow takes no polygon of a single corner.
            corners = list(map(tuple, ring if len(ring) > 1 else [*ring, *ring]))
            ImageDraw.Draw(canvas).polygon(corners, fill=inside, outline=inside)
        return cropped(np.asarray(canvas))


@dataclass(frozen=True, kw_only=True)
class Line(Shape):
    """A line through points, as thick as the pen.

    Attributes:
        points (numpy.ndarray): Its points, (N, 2) as x and y.
    """

    points: np.ndarray

    def region(self, height: int, width: int, pen: int) -> Region:
        """Draws the line."""
        points = list(map(tuple, check_near(self.points, height, width)))
        canvas = Image.new('L', (width, height))
        ImageDraw.Draw(canvas).line(points, fill=1, width=pen)
        return cropped(np.asarray(canvas))


@dataclass(frozen=True, kw_only=True)
class Dots(Shape):
    """Points, each a dot as wide as the pen.

    Attributes:
        points (numpy.ndarray): The points, (N, 2) as x and y.
    """

    points: np.ndarray

    def region(self, height: int, width: int, pen: int) -> Region:
        """Draws the dots."""
        canvas, radius = Image.new('L', (width, height)), (pen - 1) / 2
        for x, y in check_near(self.points, height, width):
            box = x - radius, y - radius, x + radius, y + radius
            ImageDraw.Draw(canvas).ellipse(box, fill=1)
            ImageDraw.Draw(canvas).point((x, y), fill=1)  # no ellipse is as small as one pixel
        return cropped(np.asarray(canvas))


@dataclass(frozen=True, kw_only=True)
class Bitmap(Shape):
    """An area given pixel by pixel.

    Attributes:
        decode (Callable): Takes height and width of the image; returns the pixels, (h, w) in bool.
        top (int): Row of the image where they begin. Default: 0.
        left (int): Column of the image where they begin. Default: 0.
    """

    decode: Callable[[int, int], np.ndarray]
    top: int = 0
    left: int = 0

    def region(self, height: int, width: int, pen: int) -> Region:
        """Decodes the pixels and cuts off what lies outside of the image."""
        mask = self.decode(height, width)
        top, left = max(self.top, 0), max(self.left, 0)
        mask = mask[max(top - self.top, 0) :, max(left - self.left, 0) :]
        return Region(top, left, mask[: max(height - top, 0), : max(width - left, 0)])


@dataclass(frozen=True)
class Shapes:
    """The annotation of an image by shapes.

    Attributes:
        shapes (Sequence[Shape]): The shapes, those below first.
    """

    shapes: Sequence[Shape] = field(default_factory=list)

    def size(self) -> None:
        """Shapes have no size of their own."""

    def paint(self, height: int, width: int, labels: Labels) -> np.ndarray:
        """Paints the shapes in their order, or the smaller over the larger.

        Args:
            height (int): Height of the image.
            width (int): Width of the image.
            labels (Labels): Class ids and settings.

        Returns:
            numpy.ndarray: The class map, (height, width).

        Raises:
            UserMistake: If one of the shapes is none.
        """
        class_map = np.full((height, width), labels.background, labels.dtype)
        drawn = []
        for shape in sorted(self.shapes, key=lambda shape: shape.layer):
            region = shape.region(height, width, labels.pen)
            drawn.append((labels.ids[shape.label], region))
        if labels.smaller_on_top:
            drawn.sort(key=lambda pair: -np.count_nonzero(pair[1].mask))
        for class_id, (top, left, mask) in drawn:
            part = class_map[top : top + mask.shape[0], left : left + mask.shape[1]]
            part[mask] = class_id
        return class_map


def fill(rings: Sequence[np.ndarray], height: int, width: int) -> Region:
    """Finds the pixels whose centres lie inside of an odd number of outlines.

    Args:
        rings (Sequence[numpy.ndarray]): Corners of each outline, (N, 2) as x and y.
        height (int): Height of the image.
        width (int): Width of the image.

    Returns:
        Region: The pixels.
    """
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    rows = np.stack([start[:, 1], end[:, 1]])
    # Each edge crosses the centres of the rows first, ..., last - 1.
    first = np.clip(np.ceil(rows.min(axis=0) - 0.5), 0, height).astype(int)
    last = np.clip(np.ceil(rows.max(axis=0) - 0.5), 0, height).astype(int)
    counts = last - first
    if not counts.any():
        return Region(0, 0, np.zeros((0, 0), bool))
    edge = np.repeat(np.arange(len(counts)), counts)
    row = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts) + first[edge]
    (x, y), (step_x, step_y) = start[edge].T, (end - start)[edge].T
    crossing = x + (row + 0.5 - y) * step_x / step_y
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
    top, left = row.min(), column.min()
    toggles = np.zeros((row.max() + 1 - top, column.max() + 1 - left), np.uint8)
    np.add.at(toggles, (row - top, column - left), 1)
    mask = np.cumsum(toggles, axis=1, dtype=np.uint8) % 2 == 1
    return Region(int(top), int(left), mask[:, : width - left])


def cropped(canvas: np.ndarray) -> Region:
    """Cuts an image down to what is not zero in it."""
    rows, columns = canvas.any(axis=1).nonzero()[0], canvas.any(axis=0).nonzero()[0]
    if not len(rows):
        return Region(0, 0, np.zeros((0, 0), bool))
    top, left = int(rows[0]), int(columns[0])
    return Region(top, left, canvas[top : rows[-1] + 1, left : columns[-1] + 1] != 0)
