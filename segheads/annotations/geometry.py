"""Points and outlines of shapes."""

from typing import Any

import numpy as np

from segheads.mistakes import UserMistake

from .records import shortened

# Points further away than this many sizes of the image come from damaged files.
FARTHEST = 10
CORNERS_OF_A_CIRCLE = 256


def points_of(value: Any) -> np.ndarray:
    """Reads a list of points.

    Args:
        value (Any): What the annotation has for it: pairs of x and y.

    Returns:
        numpy.ndarray: (N, 2) in float64.

    Raises:
        UserMistake: If it is none, or has numbers that are not finite.
    """
    try:
        points = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserMistake(f'{shortened(value)} is no list of points') from error
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserMistake(f'{shortened(value)} is no list of points')
    if not np.isfinite(points).all():
        raise UserMistake('a coordinate is not a finite number')
    return points


def rectangle(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """Returns the corners of a rectangle, (4, 2)."""
    return points_of([[left, top], [right, top], [right, bottom], [left, bottom]])


def ellipse(x: float, y: float, radius_x: float, radius_y: float) -> np.ndarray:
    """Returns corners along an ellipse."""
    angles = np.linspace(0, 2 * np.pi, CORNERS_OF_A_CIRCLE, endpoint=False)
    return points_of(np.stack([x + radius_x * np.cos(angles), y + radius_y * np.sin(angles)], 1))


def rotated(points: np.ndarray, degrees: float) -> np.ndarray:
    """Turns points around the middle of what they enclose, clockwise as images are shown."""
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return (points - middle) @ turn + middle


def check_near(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns points, unless one is so far away that it can only be an error.

    Raises:
        UserMistake: If it is.
    """
    limit = FARTHEST * max(height, width)
    if len(points) and np.abs(points).max() > limit:
        x, y = points[np.abs(points).max(axis=1).argmax()]
        raise UserMistake(f'the point ({x:g}, {y:g}) is far outside of its {width}x{height} image')
    return points
