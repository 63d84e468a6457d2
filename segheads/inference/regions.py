"""Connected regions of a class map, as polygons along the edges of its pixels."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np


class Region(NamedTuple):
    """Pixels of one class that touch along their edges.

    Attributes:
        class_id (int): The class.
        area (int): Number of pixels.
        rings (list[numpy.ndarray]): The outline, then one ring per hole: corners (n, 2) as x and y
            in pixels, where the first pixel reaches from 0 to 1. The first corner is not repeated.
    """

    class_id: int
    area: int
    rings: list[np.ndarray]


def find_regions(class_map: np.ndarray, min_area: int = 1) -> Iterator[Region]:
    """Finds the connected regions of a class map.

    Args:
        class_map (numpy.ndarray): Class indices, (H, W).
        min_area (int): Smaller ones are left out. Default: 1.

    Yields:
        Region: The regions, class by class.
    """
    for class_id in np.unique(class_map):
        mask = (class_map == class_id).astype(np.uint8)
        count, labels, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        for index in range(1, count):
            left, top, width, height, area = boxes[index].tolist()
            if area >= min_area:
                inside = labels[top : top + height, left : left + width] == index
                rings = [ring + (left, top) for ring in outline(inside)]
                yield Region(int(class_id), area, rings)


def outline(inside: np.ndarray) -> list[np.ndarray]:
    """Traces a region of pixels that touch along their edges.

    OpenCV's contours run through the centres of pixels. On a grid of twice the size, whose even
    rows and columns are the edges between pixels, they run along the edges.

    Args:
        inside (numpy.ndarray): Which pixels belong to the region, (H, W) in bool.

    Returns:
        list[numpy.ndarray]: Rings of corners (n, 2), x first: the outline, then the holes.
    """
    grid = np.zeros((2 * inside.shape[0] + 1, 2 * inside.shape[1] + 1), np.uint8)
    grid[1::2, 1::2] = inside
    grid = cv2.dilate(grid, np.ones((3, 3), np.uint8))
    contours, hierarchy = cv2.findContours(grid, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    is_hole = hierarchy[0][:, 3] >= 0
    return [_corners(contours[index][:, 0]) / 2 for index in np.argsort(is_hole, kind='stable')]


def signed_area(ring: np.ndarray) -> float:
    """Returns the area inside a ring, negative if it runs from the y axis to the x axis."""
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _corners(points: np.ndarray) -> np.ndarray:
    """Leaves the corners of a contour, and adds those inside which OpenCV cuts off."""
    following = np.roll(points, -1, axis=0)
    is_cut = (points != following).all(axis=1)
    # Of the two corners of a diagonal step the one between pixels has even coordinates.
    across = np.stack([points[:, 0], following[:, 1]], axis=1)
    is_odd = (across % 2).any(axis=1)
    across[is_odd] = np.stack([following[:, 0], points[:, 1]], axis=1)[is_odd]
    path = np.stack([points, across], axis=1)[np.stack([np.full_like(is_cut, True), is_cut], 1)]
    before = path - np.roll(path, 1, axis=0)
    after = np.roll(path, -1, axis=0) - path
    return path[(np.sign(before) != np.sign(after)).any(axis=1)]
