"""Images from files, from Pillow and from NumPy, as the loading transform of a config yields them.

A file is read by that transform itself. An array or an image of Pillow becomes what the transform
would have read from a file with the same values.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.config import Config
from mmseg.models import BaseSegmentor
from PIL import Image, ImageOps
from torch import Tensor

from segheads.data.checks import leaf_datasets
from segheads.data.image_files import ImagePipeline, Transform
from segheads.mistakes import UserMistake, near_matches

from .held_files import held
from .pictures import as_picture
from .tensors import array_of_tensor

# The types of 8, 16 and 32 bits that OpenCV, PyTorch and with them all transforms take.
KEPT_TYPES = (np.uint8, np.uint16, np.int16, np.float32)
COLOUR_FLAGS = {
    'color': cv2.IMREAD_COLOR,
    'color_ignore_orientation': cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    'grayscale': cv2.IMREAD_GRAYSCALE,
    'grayscale_ignore_orientation': cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
    'unchanged': cv2.IMREAD_UNCHANGED,
}


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image as the loading transform of a config leaves it.

    Attributes:
        results (Mapping): What the transform leaves; 'img' are the pixels.
        blue_first (bool): Whether the first three channels are blue, green and red.
    """

    results: Mapping[str, Any]
    blue_first: bool

    @property
    def pixels(self) -> np.ndarray:
        """The pixels, (H, W) or (H, W, C)."""
        return self.results['img']

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the pixels."""
        return self.pixels.shape

    @property
    def picture(self) -> np.ndarray:
        """The image for the eye, (H, W, 3) in uint8, red first: :func:`.pictures.as_picture`."""
        return as_picture(self.pixels, self.blue_first)


ImageLike = str | Path | bytes | Image.Image | np.ndarray | Tensor | LoadedImage


class LoadedForm(NamedTuple):
    """What the pixels are that a loading transform yields.

    Attributes:
        channels (int | None): Their number, 1 or 3; None for as many as the file has.
        bits (int | None): 8 if values are cut down to 8 bits; None for those of the file.
        blue_first (bool): Whether the first three channels are blue, green and red.
        to_float32 (bool): Whether values become float32 in the end.
        is_turned (bool): Whether a picture is turned as its EXIF data ask for.
    """

    channels: int | None
    bits: int | None
    blue_first: bool
    to_float32: bool
    is_turned: bool = False


class ImageReader:
    """Reads images as the test pipeline of a config does.

    Args:
        cfg (Config | None): The config. Default: None, which stands for ``LoadImageFromFile`` as
            nearly all configs have it: 8 bits, three channels.

    Attributes:
        pipeline (ImagePipeline): The test pipeline without annotations.
        form (LoadedForm): What it makes of images.
    """

    def __init__(self, cfg: Config | None = None) -> None:
        self.pipeline = ImagePipeline(test_pipeline(cfg or Config()))
        preprocessor = ((cfg or {}).get('model') or {}).get('data_preprocessor') or {}
        self.form = _form(self.pipeline.loader, preprocessor.get('bgr_to_rgb', False))

    def __call__(self, image: ImageLike) -> LoadedImage:
        """Reads an image.

        Args:
            image (ImageLike): A file (or any address that MMEngine reads, such as those of
                synthetic scenes), the content of one as bytes, an image of Pillow, or an array or a
                tensor, its channels in the order red, green, blue. OpenCV has blue first: give
                ``image[..., ::-1]``.

                Where the config loads 8 bits, arrays are of (H, W), (H, W, 1), (H, W, 3) or
                (H, W, 4) in uint8 or uint16: grey gets three equal channels, transparency is
                ignored, of 16 bits the upper 8 are kept. Where it loads what the file has
                (``color_type='unchanged'``, TIFF), they are of (H, W) or (H, W, channels) in any
                unit and type, with the channels of the model. Tensors are (C, H, W), see
                :func:`segheads.inference.tensors.array_of_tensor`. Pillow's images are turned as
                their EXIF data ask for.

        Returns:
            LoadedImage: The image as the config loads it.

        Raises:
            UserMistake: If the file cannot be read, or the array is of another kind.
        """
        if isinstance(image, LoadedImage):
            return image
        if isinstance(image, (str, Path)):
            return LoadedImage(self.pipeline.read(str(image)), self.form.blue_first)
        if isinstance(image, (bytes, bytearray, memoryview)):
            return self._read_content(bytes(image))
        if isinstance(image, Image.Image):
            try:
                pixels = _from_pillow(image, self.form)
            except UserMistake:
                raise
            except Exception as error:  # a damaged file makes a decoder raise anything
                raise UserMistake(f'{image} cannot be read as an image: {error}') from error
        elif isinstance(image, np.ndarray):
            pixels = _from_array(image, self.form)
        elif isinstance(image, Tensor):
            pixels = _from_array(array_of_tensor(image, self.form.bits == 8), self.form)
        else:
            raise UserMistake(
                'an image is a path, the bytes of a file, an image of Pillow, a NumPy array or a '
                f'tensor, but got {type(image).__module__}.{type(image).__name__}'
            )
        size = pixels.shape[:2]
        results = dict(img=pixels, img_path=None, img_shape=size, ori_shape=size)
        return LoadedImage(results, self.form.blue_first)

    def _read_content(self, content: bytes) -> LoadedImage:
        """Reads a file that exists in memory only."""
        pipeline = copy.deepcopy(self.pipeline)
        # They say where the files of the data set are.
        pipeline.loader.backend_args = pipeline.loader.file_client_args = None
        with held(content) as address:
            try:
                results = pipeline.read(address)
            except UserMistake as mistake:
                told = str(mistake).replace(address, f'the content of {len(content)} bytes')
                raise UserMistake(told) from mistake
        return LoadedImage(dict(results, img_path=None), self.form.blue_first)


def read_image(model: BaseSegmentor, image: ImageLike) -> LoadedImage:
    """Reads an image once, for :func:`segheads.predict` and for :func:`segheads.draw`.

    Args:
        model (BaseSegmentor): The model; its config says how images are loaded.
        image (ImageLike): As for :class:`ImageReader`.

    Returns:
        LoadedImage: The image; both functions take it in place of a path.

    Raises:
        UserMistake: If it cannot be read.
    """
    return ImageReader(getattr(model, 'cfg', None))(image)


def test_pipeline(cfg: Config) -> list[dict[str, Any]]:
    """Returns a copy of what a config does to an image before the model sees it."""
    steps = cfg.get('test_pipeline')
    if cfg.get('test_dataloader'):
        _, dataset = next(leaf_datasets(cfg.test_dataloader.dataset, 'test_dataloader.dataset'))
        steps = dataset.get('pipeline') or steps
    default = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    return copy.deepcopy(steps or default)


def _form(loader: Transform, bgr_to_rgb: bool) -> LoadedForm:
    loader = getattr(loader, 'from_file', loader)  # that of an InferencerLoader
    to_float32 = getattr(loader, 'to_float32', False)
    if not isinstance(loader, LoadImageFromFile):
        # Nothing is known of it, but the model says which order it wants changed.
        return LoadedForm(None, None, bgr_to_rgb, to_float32)
    if loader.imdecode_backend == 'tifffile':
        return LoadedForm(None, None, False, to_float32)
    flags = COLOUR_FLAGS.get(loader.color_type, loader.color_type)
    if not isinstance(flags, int):
        raise UserMistake(
            f'color_type of {type(loader).__name__} must be one of {", ".join(COLOUR_FLAGS)}, but '
            f'is {flags!r}{near_matches(str(flags), COLOUR_FLAGS)}'
        )
    if flags == cv2.IMREAD_UNCHANGED:
        return LoadedForm(None, None, True, to_float32)
    is_colour, keeps_channels = flags & cv2.IMREAD_COLOR, flags & cv2.IMREAD_ANYCOLOR
    return LoadedForm(
        channels=3 if is_colour else None if keeps_channels else 1,
        bits=None if flags & cv2.IMREAD_ANYDEPTH else 8,
        blue_first=True,
        to_float32=to_float32,
        is_turned=not flags & cv2.IMREAD_IGNORE_ORIENTATION,
    )


def _from_pillow(image: Image.Image, form: LoadedForm) -> np.ndarray:
    image = ImageOps.exif_transpose(image)
    is_high = image.mode == 'F' or image.mode.startswith('I')
    if form.bits == 8:
        if image.mode == 'F':
            raise UserMistake('its values are floating-point numbers of unknown range')
        if is_high:  # grey with 16 bits; Pillow would cut them off at 255
            return _from_array(np.clip(np.asarray(image), 0, 65535).astype(np.uint16), form)
        return _from_array(np.asarray(image.convert('RGB')), form)
    is_plain = is_high or image.mode in ('L', 'RGB', 'RGBA')
    return _from_array(np.asarray(image if is_plain else image.convert('RGB')), form)


def _from_array(image: np.ndarray, form: LoadedForm) -> np.ndarray:
    if form.bits == 8:
        _require(image, (1, 3, 4), (np.uint8, np.uint16), 'uint8 or uint16')
        if image.dtype == np.uint16:
            image = (image >> 8).astype(np.uint8)
    else:
        _require(image, None, None, 'whole or floating-point numbers')
        if image.dtype not in KEPT_TYPES:
            image = image.astype(np.float32)
    bands = image if image.ndim == 3 else image[..., None]
    if form.channels == 3 and bands.shape[2] != 3:
        bands = bands[..., :3] if bands.shape[2] > 3 else np.repeat(bands[..., :1], 3, axis=2)
    elif form.channels == 1 and bands.shape[2] > 1:
        bands = cv2.cvtColor(bands[..., :3].copy(), cv2.COLOR_RGB2GRAY)[..., None]
    if form.blue_first and bands.shape[2] in (3, 4):
        bands = np.concatenate([bands[..., 2::-1], bands[..., 3:]], axis=2)
    # OpenCV has grey without channels.
    image = np.ascontiguousarray(bands[..., 0] if bands.shape[2] == 1 else bands)
    # PyTorch does not take what it might write to otherwise, such as the pixels of Pillow.
    return image.astype(
        np.float32 if form.to_float32 else image.dtype, copy=not image.flags.writeable
    )


def _require(
    image: np.ndarray, channels: tuple[int, ...] | None, types: Any, described: str
) -> None:
    is_known = image.dtype in types if types else image.dtype.kind in 'uif'
    is_image = image.ndim == 2 or (
        image.ndim == 3 and (channels is None or image.shape[2] in channels)
    )
    if not is_image or not is_known or image.size == 0:
        shapes = '(H, W), (H, W, 1), (H, W, 3) or (H, W, 4)' if channels else '(H, W) or (H, W, C)'
        raise UserMistake(
            f'an array is an image if it has the shape {shapes} and the type {described}, but got '
            f'{image.shape} of {image.dtype}'
        )
