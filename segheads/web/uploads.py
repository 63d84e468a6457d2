"""Pictures from strangers: what is accepted, and checked before it is decoded."""

import io
import warnings

import numpy as np
from PIL import Image

from segheads.inference.images import read_image
from segheads.mistakes import UserMistake

# Formats that every browser shows too.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP')
MAX_BYTES = 16 * 2**20
MAX_PIXELS = 50_000_000
# Larger pictures are scaled down: the memory of a prediction grows with pixels times classes.
MAX_SIDE = 1280


def decode_upload(content: bytes) -> np.ndarray:
    """Decodes an uploaded picture, if its size and format allow it.

    Args:
        content (bytes): The file.

    Returns:
        numpy.ndarray: RGB image, (H, W, 3) in uint8, at most ``MAX_SIDE`` high and wide.

    Raises:
        UserMistake: If it is no picture in one of ``FORMATS``, is damaged, or has more than
            ``MAX_PIXELS`` pixels by its header, before any of them is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UserMistake(_too_many_pixels('far more')) from error
    except Exception as error:  # a damaged header makes a decoder raise anything
        raise UserMistake(
            f'the file is not a picture in one of the formats {", ".join(FORMATS)}'
        ) from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise UserMistake(_too_many_pixels(f'{image.width}x{image.height}'))
        # JPEG can be decoded at a fraction of its size in a fraction of the time.
        image.draft(None, (MAX_SIDE, MAX_SIDE))
        try:
            small = Image.fromarray(read_image(image))
        except UserMistake as error:
            raise UserMistake('the picture is damaged and cannot be decoded') from error
    small.thumbnail((MAX_SIDE, MAX_SIDE))
    return np.asarray(small)


def _too_many_pixels(given: str) -> str:
    return (
        f'the picture has too many pixels ({given}); at most {MAX_PIXELS // 10**6} million '
        'are accepted'
    )
