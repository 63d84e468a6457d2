"""Masks in forms that hold no class ids, and what to do about each."""

import cv2
import numpy as np
from mmengine import fileio
from PIL import UnidentifiedImageError

JPEG, PNG = b'\xff\xd8', b'\x89PNG\r\n\x1a\n'
# Where a PNG says how many bits a pixel has, and that it is grey.
PNG_BITS, PNG_KIND, PNG_GREY = 24, 25, 0
# A mask that was drawn in colours has few of them.
MOST_COLOURS = 256
COLOURS_TO_SHOW = 3
IMPORT = '`segheads import SOURCE --out DATA` makes class ids of what annotation tools write'


def why_unreadable(error: Exception) -> str:
    """Says in short why an image or a mask cannot be read.

    Args:
        error (Exception): What its decoder raised, which may be anything.

    Returns:
        str: The reason, for brackets.
    """
    if isinstance(error, FileNotFoundError):
        return 'it does not exist'
    if isinstance(error, (UnidentifiedImageError, cv2.error, AssertionError)):
        return 'it is damaged, or no image'
    return (str(error).splitlines() or [type(error).__name__])[0]


def colour_advice(pixels: np.ndarray) -> str:
    """Says how a colour image becomes a mask, by what its colours look like.

    Args:
        pixels (numpy.ndarray): The image (H, W, C), with blue first.

    Returns:
        str: What the colours look like, and what to do.
    """
    channels = pixels.shape[2]
    if channels == 2:
        return 'the second one is transparency, so keep the first'
    colours = pixels[..., :3]
    if (colours == colours[..., :1]).all():
        return 'its colour channels are equal, so keep one of them'
    found = np.unique(colours[..., ::-1].reshape(-1, 3), axis=0)
    if len(found) > MOST_COLOURS:
        return (
            f'it has {len(found):,} colours, as photographs have, and masks that were saved as '
            'JPEG or resized smoothly; is data_prefix.seg_map_path the folder of the masks?'
        )
    shown = ', '.join(str(tuple(colour)) for colour in found[:COLOURS_TO_SHOW].tolist())
    more = ', ...' if len(found) > COLOURS_TO_SHOW else ''
    return f'it has {len(found)} colours, {shown}{more}, which stand for classes; {IMPORT}'


def file_hint(path: str) -> str | None:
    """Says what the format of a mask's file does to its labels.

    Args:
        path (str): A mask with labels that are no classes.

    Returns:
        str | None: The cause and what to do; None if its format keeps labels as they are.
    """
    content = fileio.get(path)
    if content.startswith(JPEG):
        return (
            'JPEG changes labels where it compresses: write masks as PNG, from what they were made '
            'of'
        )
    if content.startswith(PNG) and content[PNG_KIND] == PNG_GREY and 1 < content[PNG_BITS] < 8:
        step = 255 // (2 ** content[PNG_BITS] - 1)
        return (
            f'a grey PNG with {content[PNG_BITS]} bits per pixel is read in multiples of {step}: '
            f'write masks with 8 bits, and divide by {step} what is read of these'
        )
    return None
