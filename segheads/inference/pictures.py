"""What is shown of an image, of however many channels and bits."""

import numpy as np

# Of the brightest and of the darkest pixels, in percent, what may be lost to show the others.
CUT_OFF = 2
# Enough to know the range of values by.
SAMPLED_VALUES = 1_000_000


def as_picture(pixels: np.ndarray, blue_first: bool = False) -> np.ndarray:
    """Makes a picture for the eye of an image.

    Three bands are shown: red, green and blue, or the first three of the file. Of one or two bands
    the first is shown in grey. Values of 8 bits stay as they are, in floating point too. Any others
    are scaled, by one factor for all three bands: the 2nd percentile becomes black and the 98th
    white. What is not finite is black.

    Args:
        pixels (numpy.ndarray): (H, W) or (H, W, C), of any numeric type.
        blue_first (bool): Whether the first three channels are blue, green and red.
            Default: False.

    Returns:
        numpy.ndarray: (H, W, 3) in uint8, red first.
    """
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    order = [0, 0, 0] if pixels.shape[2] < 3 else [2, 1, 0] if blue_first else [0, 1, 2]
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels[..., order])
    low, high = _range(pixels[..., sorted(set(order))])
    picture = np.empty((*pixels.shape[:2], 3), np.uint8)
    for channel, band in enumerate(order):
        values = (pixels[..., band].astype(np.float32) - low) * (255 / (high - low))
        picture[..., channel] = np.rint(np.clip(np.nan_to_num(values, nan=0, posinf=0), 0, 255))
    return picture


def _range(shown: np.ndarray) -> tuple[float, float]:
    """Finds the values that become black and white."""
    step = max(1, int((shown.size / SAMPLED_VALUES) ** 0.5))
    sample = shown[::step, ::step].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return 0, 255
    is_float = shown.dtype.kind == 'f'
    if is_float and sample.min() >= 0 and sample.max() <= 255 and (sample % 1 == 0).all():
        return 0, 255
    low, high = np.percentile(sample, (CUT_OFF, 100 - CUT_OFF))
    if low == high:
        low, high = sample.min(), sample.max()
    return (low, high) if high > low else (low, low + 1)
