"""Image files, read by the loading transforms of a config: the pixels that training sees.

Prediction, drawing, the web page and the check of data sets all read through
:class:`ImagePipeline`.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import cv2
import mmcv.image.io
from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmengine import fileio
from mmseg.datasets.transforms import LoadImageFromNDArray
from mmseg.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError

from segheads.mistakes import UserMistake, near_matches
from segheads.registered_types import type_name, type_of

Results = dict[str, Any]
Transform = Callable[[Results], Results | None]

# From 5 on OpenCV refuses a JPEG that ends early; before, it fills up with grey what is missing.
OPENCV_FILLS_UP = int(cv2.__version__.partition('.')[0]) < 5
JPEG_START = b'\xff\xd8'
NOT_DECODED = 'it is damaged, or of a kind that the loading transform of the config does not read'


class ImagePipeline:
    """The transforms of a data set without those that read annotations.

    Args:
        steps (Sequence[Mapping]): The ``pipeline`` of a data set. If none of its transforms reads
            image files, ``LoadImageFromFile`` with its defaults does.

    Attributes:
        loader (Callable): The transform that reads an image file.

    Raises:
        UserMistake: If the decoder of the loading transform is not installed, if a type is not
            registered, or if the loading transform refuses its settings.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        check_decoders(steps)
        for step in steps:
            if type_of(step, TRANSFORMS) is None:
                near = near_matches(str(step.get('type')), TRANSFORMS.module_dict)
                raise UserMistake(
                    f'the pipeline has a transform of type {step.get("type")!r}, which is not '
                    f'registered with MMSegmentation{near}'
                )
        steps = [dict(step) for step in steps if not _is(step, LoadAnnotations, 'Annotation')]
        position = next((i for i, step in enumerate(steps) if _is(step, LoadImageFromFile)), None)
        if position is None:
            position = next((i for i, step in enumerate(steps) if _is(step, None, 'Load')), None)
        if position is None:
            position, steps = 0, [dict(type='LoadImageFromFile'), *steps]
        elif _is(steps[position], LoadImageFromNDArray):
            to_float32 = steps[position].get('to_float32', False)
            steps[position] = dict(type='LoadImageFromFile', to_float32=to_float32)
        self._reading = [_build(step) for step in steps[: position + 1]]
        self._following = steps[position + 1 :]
        self.loader = self._reading[-1]

    def preparation(self) -> list[Transform]:
        """Builds the transforms that come after the one that reads an image file."""
        return [_build(step) for step in self._following]

    def read(self, path: str) -> Results:
        """Reads an image file as training does.

        Args:
            path (str): The file, or any address that MMEngine reads.

        Returns:
            dict: What the loading transform leaves; its 'img' are the pixels.

        Raises:
            UserMistake: If the file is missing, or cannot be read as an image.
        """
        results: Results | None = dict(img_path=path)
        try:
            for transform in self._reading:
                results = transform(results)
                if results is None:
                    raise ValueError(NOT_DECODED)
            if OPENCV_FILLS_UP:
                _require_whole_jpeg(fileio.get(path, getattr(self.loader, 'backend_args', None)))
        except FileNotFoundError as error:
            raise UserMistake(f'the image {path} does not exist') from error
        except UserMistake:
            raise
        except Exception as error:  # a damaged file makes a decoder raise anything
            raise UserMistake(f'{path} cannot be read as an image: {_reason(error)}') from error
        return results


def check_decoders(steps: Any) -> None:
    """Checks that what the transforms of a pipeline decode files with is installed.

    Args:
        steps (Any): The ``pipeline`` of a data set, or a part of it.

    Raises:
        UserMistake: If tifffile is missing.
    """
    if isinstance(steps, Mapping):
        if steps.get('imdecode_backend') == 'tifffile':
            require_tifffile()
        steps = list(steps.values())
    if isinstance(steps, (list, tuple)):
        for step in steps:
            check_decoders(step)


def require_tifffile() -> None:
    """Says in one sentence what reads TIFF files of any number of bands, if it is missing.

    Raises:
        UserMistake: If MMCV found no tifffile when it was imported.
    """
    if mmcv.image.io.tifffile is None:
        raise UserMistake(
            'the config reads TIFF files by tifffile, which is not installed; run '
            '`pip install "segheads[tiff]"` (in a clone: `pip install -e ".[tiff]"`)'
        )


def _build(step: Mapping[str, Any]) -> Transform:
    try:
        return TRANSFORMS.build(dict(step))
    except UserMistake:
        raise
    except Exception as error:  # transforms check their arguments in any way
        reason = str(error).strip().partition('\n')[0] or type(error).__name__
        raise UserMistake(
            f'{type_name(step)} of the pipeline cannot be built: {reason}; correct its settings'
        ) from error


def _is(step: Mapping[str, Any], base: type | None, word: str | None = None) -> bool:
    """Tells whether a step is of a class, or of one that has a word in its name."""
    kind = type_of(step, TRANSFORMS)
    is_derived = base is not None and isinstance(kind, type) and issubclass(kind, base)
    return is_derived or (word is not None and word in getattr(kind, '__name__', ''))


def _require_whole_jpeg(content: bytes) -> None:
    if content.startswith(JPEG_START):
        with Image.open(BytesIO(content)) as image:
            # An eighth of the size is a fraction of the work, and still reads the file to its end.
            image.draft(None, (1, 1))
            image.load()


def _reason(error: Exception) -> str:
    text = str(error)
    if 'CV_IO_MAX_IMAGE' in text:
        return (
            'it has more pixels than OpenCV reads unless the environment variable '
            'OPENCV_IO_MAX_IMAGE_PIXELS (or _WIDTH, _HEIGHT) allows more'
        )
    if '!buf.empty()' in text:
        return 'it is empty'
    if isinstance(error, (AssertionError, UnidentifiedImageError)):
        return NOT_DECODED
    return text.partition('\n')[0] or type(error).__name__
