"""Photographs and colours in the forms that a page takes."""

import base64
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

WIDTH = 480


def data_address(image: np.ndarray) -> str:
    """Encodes an image as the address of an ``<img>`` that needs no file.

    Args:
        image (np.ndarray): RGB image of shape (H, W, 3); it is reduced to a width of 480.

    Returns:
        str: A ``data:`` address of a JPEG.
    """
    picture = Image.fromarray(image)
    picture.thumbnail((WIDTH, 2 * WIDTH))
    stream = BytesIO()
    picture.save(stream, 'JPEG', quality=85)
    return f'data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}'


def css_colours(palette: Sequence[Sequence[int]]) -> list[str]:
    """Writes colours as CSS does: ``#rrggbb``."""
    return ['#' + ''.join(f'{int(value):02x}' for value in colour) for colour in palette]
