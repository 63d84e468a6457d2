"""Pictures from strangers: what is accepted, and checked before it is decoded."""

import io
import warnings

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image, ImageOps

from segheads.inference.images import ImageReader, LoadedImage
from segheads.mistakes import UserMistake

# Formats that every browser shows too.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP')
MAX_BYTES = 16 * 2**20
MAX_PIXELS = 50_000_000
# Larger pictures are scaled down: the memory of a prediction grows with pixels times classes.
MAX_SIDE = 1280
EXIF_ORIENTATION = 0x0112


def decode_upload(content: bytes, cfg: Config) -> tuple[LoadedImage, int]:
    """Decodes an uploaded picture as a model's config does, if its size and format allow it.

    Args:
        content (bytes): The file.
        cfg (Config): Config of the model.

    Returns:
        tuple[LoadedImage, int]: The image, at most ``MAX_SIDE`` high and wide, and how browsers
        turn it where the config does not: EXIF's orientation, 1 for upright.

    Raises:
        UserMistake: If it is no picture in one of ``FORMATS``, is damaged, has more than
            ``MAX_PIXELS`` pixels by its header, before any of them is decoded, or if the config
            reads other files.
    """
    _check_header(content)
    reader = ImageReader(cfg)
    try:
        image = reader(content)
    except UserMistake as error:
        if getattr(reader.pipeline.loader, 'imdecode_backend', None) == 'tifffile':
            raise UserMistake(
                'this model reads TIFF files, which browsers do not show; use `segheads predict` '
                'for them'
            ) from error
        raise UserMistake('the picture is damaged and cannot be decoded') from error
    return scale_down(image, MAX_SIDE), 1 if reader.form.is_turned else _orientation(content)


def scale_down(image: LoadedImage, side: int) -> LoadedImage:
    """Makes an image smaller if it is too large.

    Args:
        image (LoadedImage): The image, of up to four channels.
        side (int): The largest height and width.

    Returns:
        LoadedImage: The image, of the same proportions.
    """
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    size = max(round(scale * width), 1), max(round(scale * height), 1)
    pixels = cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA)
    sizes = dict(img_shape=pixels.shape[:2], ori_shape=pixels.shape[:2])
    return LoadedImage(dict(image.results, img=pixels, **sizes), image.blue_first)


def turn(class_map: np.ndarray, orientation: int) -> np.ndarray:
    """Turns a class map as browsers turn its picture.

    Args:
        class_map (numpy.ndarray): Class indices, (H, W).
        orientation (int): EXIF's orientation of the picture.

    Returns:
        numpy.ndarray: The class map, upright.
    """
    if orientation == 1:
        return class_map
    image = Image.fromarray(class_map.astype(np.int32))
    image.getexif()[EXIF_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def _check_header(content: bytes) -> None:
    """Refuses what is not accepted."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise UserMistake(_too_many_pixels('far more')) from error
    except Exception as error:  # a damaged header makes a decoder raise anything
        raise UserMistake(
            f'the file is not a picture in one of the formats {", ".join(FORMATS)}'
        ) from error
    if width * height > MAX_PIXELS:
        raise UserMistake(_too_many_pixels(f'{width}x{height}'))


def _orientation(content: bytes) -> int:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return image.getexif().get(EXIF_ORIENTATION, 1)


def _too_many_pixels(given: str) -> str:
    return (
        f'the picture has too many pixels ({given}); at most {MAX_PIXELS // 10**6} million '
        'are accepted'
    )
