"""What becomes of an image before a network sees it: the test pipeline, normalising, padding."""

import os
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .bilinear import resize
from .description import Description
from .mistakes import RunnerMistake

Picture = str | os.PathLike | Image.Image | np.ndarray
# Steps that concern annotations or the form of the result.
OTHER_STEPS = ('LoadAnnotations', 'PackSegInputs')


def read_picture(image: Picture) -> np.ndarray:
    """Reads an image.

    Args:
        image (Picture): A file that Pillow reads, an image of Pillow, or an array (H, W),
            (H, W, 1), (H, W, 3) or (H, W, 4) in uint8, red first. Files and images of Pillow are
            turned as their EXIF data ask for.

    Returns:
        numpy.ndarray: (H, W, 3) in uint8, red first.

    Raises:
        RunnerMistake: If it cannot be read, or is none of these.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.size == 0:
            raise RunnerMistake(
                f'an array is an image of uint8, but got {image.shape} of {image.dtype}'
            )
        try:
            image = Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image)
        except (TypeError, ValueError) as error:
            raise RunnerMistake(
                f'an array is an image of (H, W), (H, W, 3) or (H, W, 4), but got {image.shape}'
            ) from error
    try:
        if not isinstance(image, Image.Image):
            with Image.open(image) as opened:
                return read_picture(ImageOps.exif_transpose(opened))
        if image.mode.startswith('I;16'):  # Pillow would cut values off at 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    except FileNotFoundError as error:
        raise RunnerMistake(f'the image {image} does not exist') from error
    except RunnerMistake:
        raise
    except Exception as error:  # a damaged file makes a decoder raise anything
        raise RunnerMistake(f'{image} cannot be read as an image: {error}') from error


class Preparation:
    """The test pipeline of a config, as far as it is about sizes.

    Args:
        description (Description): What the exported file says of it.

    Raises:
        RunnerMistake: If it has a step that is not known here.
    """

    def __init__(self, description: Description) -> None:
        self.loading = description.loading
        steps = description.test_pipeline
        self.steps = [
            (step, _size_after(step))
            for step in steps
            if 'Load' not in step['type'] and step['type'] not in OTHER_STEPS
        ]
        if self.loading['bits'] != 8 or self.loading['channels'] != 3:
            raise RunnerMistake(
                'the model takes other images than pictures of three channels of 8 bits; use '
                'segheads.load, where MMSegmentation is installed'
            )

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Prepares a picture (H, W, 3) as the model's preprocessing takes it, (3, H, W)."""
        pixels = picture[..., ::-1] if self.loading['blue_first'] else picture
        pixels = np.ascontiguousarray(pixels)
        if self.loading['to_float32']:
            pixels = pixels.astype(np.float32)
        for _, size_after in self.steps:
            pixels = resize(pixels, size_after(*pixels.shape[:2]))
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def normalise(images: np.ndarray, preprocessing: Mapping[str, Any]) -> np.ndarray:
    """Does what the ``data_preprocessor`` of a config does, but for padding.

    Args:
        images (numpy.ndarray): Images (B, C, H, W), of any type.
        preprocessing (Mapping): As of :class:`.description.Description`.

    Returns:
        numpy.ndarray: Images (B, C, H, W) in float32.
    """
    if preprocessing['swap_red_and_blue'] and images.shape[1] == 3:
        images = images[:, ::-1]
    images = images.astype(np.float32)
    if preprocessing['mean'] is not None:
        shape = (-1, 1, 1)
        images -= np.asarray(preprocessing['mean'], np.float32).reshape(shape)
        images /= np.asarray(preprocessing['std'], np.float32).reshape(shape)
    return images


def padded_size(height: int, width: int, preprocessing: Mapping[str, Any]) -> tuple[int, int]:
    """Returns the size to which images are padded, below and right.

    Args:
        height (int): Height of an image.
        width (int): Its width.
        preprocessing (Mapping): As of :class:`.description.Description`.

    Returns:
        tuple[int, int]: Height and width.
    """
    if preprocessing['size'] is not None:
        return max(height, preprocessing['size'][0]), max(width, preprocessing['size'][1])
    divisor = preprocessing['size_divisor'] or 1
    return ceil(height / divisor) * divisor, ceil(width / divisor) * divisor


def _size_after(step: Mapping[str, Any]) -> Callable[[int, int], tuple[int, int]]:
    """Returns what makes the size after a step, (H, W), of the size before."""
    kind = step['type'].rpartition('.')[2]
    settings = {name: value for name, value in step.items() if name != 'type'}
    interpolation = settings.pop('interpolation', None) or 'bilinear'
    if interpolation == 'bilinear' and settings.pop('backend', 'cv2') == 'cv2':
        if kind == 'ResizeToMultiple' and set(settings) <= {'size_divisor'}:
            divisor = settings.get('size_divisor', 32)
            return lambda height, width: tuple(
                ceil(side / divisor) * divisor for side in (height, width)
            )
        known = {'scale', 'scale_factor', 'keep_ratio', 'clip_object_border'}
        if kind == 'Resize' and set(settings) <= known:
            return lambda height, width: _resized(height, width, settings)
    raise RunnerMistake(
        f'the runner does not know {step} of the test pipeline; use segheads.load, where '
        'MMSegmentation is installed'
    )


def _resized(height: int, width: int, step: Mapping[str, Any]) -> tuple[int, int]:
    scale = step.get('scale')
    if scale is None:
        factor = step['scale_factor']
        factors = factor if isinstance(factor, (list, tuple)) else (factor, factor)
        scale = _scaled(width, factors[0]), _scaled(height, factors[1])
    elif not isinstance(scale, (list, tuple)):
        scale = scale, scale
    if not step.get('keep_ratio', False):
        return scale[1], scale[0]
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return _scaled(height, factor), _scaled(width, factor)


def _scaled(side: int, factor: float) -> int:
    return int(side * float(factor) + 0.5)
