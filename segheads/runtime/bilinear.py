"""Bilinear resizing of pictures in NumPy, with OpenCV's arithmetic.

OpenCV resizes 8 bits in whole numbers: weights are rounded to 1/2048, and a product of two sums is
cut off before it is rounded. Models are trained and evaluated on what it gives, to the last bit.
"""

import numpy as np

WEIGHT_BITS = 11


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes a picture as ``cv2.resize`` does by default.

    Args:
        image (numpy.ndarray): (H, W, C) in uint8 or float32.
        size (tuple[int, int]): The height and width to resize to.

    Returns:
        numpy.ndarray: The picture, of the same type.
    """
    if image.shape[:2] == tuple(size):
        return image
    (top, bottom, down), (left, right, across) = (
        _neighbours(source, extent) for source, extent in zip(image.shape[:2], size, strict=True)
    )
    # Outside, where both are one, OpenCV takes it whole across, and in two rounded parts down.
    across = np.where(left == right, 0, across)[:, None]
    if image.dtype != np.uint8:
        rows = image[:, left] * (1 - across) + image[:, right] * across
        down = down[:, None, None]
        return rows[top] * (1 - down) + rows[bottom] * down
    weight_left, weight_right = _whole(1 - across), _whole(across)
    # The first shift keeps the second product within 32 bits.
    rows = (image[:, left] * weight_left + image[:, right] * weight_right) >> 4
    above, below = _whole(1 - down)[:, None, None], _whole(down)[:, None, None]
    sums = ((rows[top] * above) >> 16) + ((rows[bottom] * below) >> 16)
    return np.clip((sums + 2) >> 2, 0, 255).astype(np.uint8)


def _neighbours(source: int, extent: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the two pixels that each new one lies between, and its distance from the first."""
    scale = source / extent
    position = ((np.arange(extent) + 0.5) * scale - 0.5).astype(np.float32)
    lower = np.floor(position).astype(np.int64)
    distance = (position - lower).astype(np.float32)
    first, second = (np.clip(index, 0, source - 1) for index in (lower, lower + 1))
    return first, second, distance


def _whole(weights: np.ndarray) -> np.ndarray:
    return np.rint(weights * np.float32(1 << WEIGHT_BITS)).astype(np.int32)
