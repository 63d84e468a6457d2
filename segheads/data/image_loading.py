"""What the transforms of a data set make of the values in its image files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any

import mmcv
import numpy as np
from mmengine import fileio
from mmseg.registry import TRANSFORMS
from PIL import Image

from segheads.mistakes import UserMistake
from segheads.registered_types import type_of

from .image_files import ImagePipeline, Transform

IMAGES_TO_COMPARE = 5
VALUES_TO_COUNT = 1_000_000
# They convert to 8 bits whatever they get.
BYTE_TRANSFORMS = ('PhotoMetricDistortion', 'CLAHE', 'AdjustGamma')
EXTRA_SAMPLES, UNASSOCIATED_ALPHA = 338, 2
TIFF_STARTS = (b'II*\0', b'MM\0*')


def value_fault(
    pipeline: ImagePipeline, steps: Sequence[Mapping[str, Any]], paths: Sequence[str], key: str
) -> str | None:
    """Finds a transform that damages the values of images.

    Args:
        pipeline (ImagePipeline): The transforms for images.
        steps (Sequence[Mapping]): Their configs, the ``pipeline`` of the data set.
        paths (Sequence[str]): Images, of which a few are read.
        key (str): Dotted key of the data set, for the sentence.

    Returns:
        str | None: The sentence; None if no transform is known to damage them.
    """
    damaging = next((name for name in _names(steps) if name in BYTE_TRANSFORMS), None)
    if damaging is None or _loads_bytes(pipeline.loader):
        return None
    for path, pixels in _sample(pipeline, paths):
        if pixels.dtype != np.uint8 and not _are_bytes(pixels):
            return (
                f'{key}: {damaging} makes 8 bits of the images, which hold values from '
                f'{pixels.min():g} to {pixels.max():g} in {pixels.dtype} (for example {path}); '
                f'remove {damaging} from the pipeline'
            )
    return None


def loading_notes(pipeline: ImagePipeline, paths: Sequence[str]) -> list[str]:
    """Tells what the loading transform leaves out of image files.

    Args:
        pipeline (ImagePipeline): The transforms for images.
        paths (Sequence[str]): Images, of which a few are read.

    Returns:
        list[str]: Of each kind of loss one note, with an example.
    """
    notes: dict[str, str] = {}
    for path, pixels in _sample(pipeline, paths):
        content = fileio.get(path)
        stored = _as_stored(content)
        if stored is None:
            continue
        if stored.dtype.itemsize > 1 and stored.max() > 255 and pixels.max() <= 255:
            step = 1 + pixels.size // VALUES_TO_COUNT
            levels = len(np.unique(pixels.ravel()[::step]))
            notes.setdefault(
                'depth',
                f'images such as {path} hold values up to {stored.max()} in {stored.dtype}, of '
                f'which the loading transform keeps the upper 8 bits, {levels} levels here; '
                "color_type='unchanged' in LoadImageFromFile keeps all, with mean and std of "
                'model.data_preprocessor in the unit of the files',
            )
        decoder = getattr(pipeline.loader, 'imdecode_backend', None)
        if decoder != 'tifffile' and stored.shape[2:] == (4,) and content.startswith(TIFF_STARTS):
            # So does OpenCV with color_type='unchanged'.
            mixes = decoder == 'cv2' and stored.dtype == np.uint8 and _is_transparent(content)
            if mixes or pixels.shape[2:] == (3,):
                notes.setdefault(
                    'bands',
                    f'images such as {path} have four bands, of which the loading transform '
                    f'{"multiplies three by the fourth" if mixes else "takes three"}; '
                    'LoadMultiBandImageFromFile takes all as they are, for in_channels=4',
                )
    return list(notes.values())


def _names(steps: Any) -> Iterator[str]:
    """Yields the classes of a pipeline's transforms, those inside of wrappers too."""
    if isinstance(steps, Mapping):
        yield getattr(type_of(steps, TRANSFORMS), '__name__', '')
        steps = steps.get('transforms', ())
    for step in steps:
        if isinstance(step, (Mapping, list, tuple)):
            yield from _names(step)


def _loads_bytes(loader: Transform) -> bool:
    """Tells, without reading a file, that a transform cuts values down to 8 bits."""
    colours = str(getattr(loader, 'color_type', ''))
    return colours.startswith(('color', 'grayscale')) and loader.imdecode_backend != 'tifffile'


def _sample(pipeline: ImagePipeline, paths: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Reads images, evenly spaced, and leaves out those that cannot be read."""
    count = min(IMAGES_TO_COMPARE, len(paths))
    for index in np.linspace(0, len(paths) - 1, count).astype(int):
        with suppress(UserMistake):  # told of where every image is read
            yield paths[index], pipeline.read(paths[index])['img']


def _are_bytes(pixels: np.ndarray) -> bool:
    return bool(pixels.min() >= 0 and pixels.max() <= 255 and (pixels % 1 == 0).all())


def _as_stored(content: bytes) -> np.ndarray | None:
    try:
        return mmcv.imfrombytes(content, flag='unchanged')
    except Exception:  # OpenCV raises anything for what it does not read
        return None


def _is_transparent(content: bytes) -> bool:
    """Tells whether the fourth sample of a TIFF is transparency that is not multiplied in yet."""
    try:
        with Image.open(BytesIO(content)) as image:
            return image.tag_v2.get(EXTRA_SAMPLES) == (UNASSOCIATED_ALPHA,)
    except Exception:  # of a kind that Pillow does not read
        return False
