"""Images from files, from Pillow and from NumPy, all in the form that the models take."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import fileio
from PIL import Image, ImageOps

from segheads.mistakes import UserMistake

ImageLike = str | Path | Image.Image | np.ndarray


def read_image(image: ImageLike) -> np.ndarray:
    """Reads an image as RGB with 8 bits per channel, the way up in which viewers show it.

    Grey images get three equal channels, and transparency is ignored; both are what MMSegmentation
    does in training. Of 16 bits per channel the upper 8 are kept. The rotation that cameras note in
    EXIF is applied. Of an animation the first frame counts.

    Args:
        image (str | Path | PIL.Image.Image | numpy.ndarray): A file (or any address that MMEngine
            reads, such as those of synthetic scenes), an image of Pillow, or an array of (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4) in uint8 or uint16, its channels in the order red,
            green, blue. OpenCV has blue first: give ``image[..., ::-1]``.

    Returns:
        numpy.ndarray: (H, W, 3) in uint8, red first.

    Raises:
        UserMistake: If the file cannot be read, or the array is of another kind.
    """
    if isinstance(image, np.ndarray):
        return _from_array(image)
    try:
        if isinstance(image, Image.Image):
            return _from_pillow(image)
        if isinstance(image, (str, Path)):
            with Image.open(io.BytesIO(fileio.get(image))) as opened:
                return _from_pillow(opened)
    except FileNotFoundError as error:
        raise UserMistake(f'the image {image} does not exist') from error
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise UserMistake(f'{image} cannot be read as an image: {_reason(error)}') from error
    raise UserMistake(
        'an image is a path, an image of Pillow or a NumPy array, but got '
        f'{type(image).__module__}.{type(image).__name__}'
    )


def _from_pillow(image: Image.Image) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    if image.mode == 'F':
        raise UserMistake('its values are floating-point numbers of unknown range')
    if image.mode.startswith('I'):  # grey with 16 bits; Pillow would cut them off at 255
        return _from_array(np.clip(np.asarray(image), 0, 65535).astype(np.uint16))
    return np.array(image.convert('RGB'))


def _from_array(image: np.ndarray) -> np.ndarray:
    channels = 1 if image.ndim == 2 else image.shape[-1]
    is_image = image.ndim == 2 or (image.ndim == 3 and channels in (1, 3, 4))
    if not is_image or image.size == 0 or image.dtype not in (np.uint8, np.uint16):
        raise UserMistake(
            'an array is an image if it has the shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) '
            f'and the type uint8 or uint16, but got {image.shape} of {image.dtype}'
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def _reason(error: Any) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return 'it has no format that Pillow knows'
    return str(error).partition('\n')[0] or type(error).__name__
