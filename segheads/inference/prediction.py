"""Class maps from images, and what a model is asked for beside them."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from mmseg.models import BaseSegmentor
from mmseg.structures import SegDataSample

from segheads.data.image_files import ImagePipeline
from segheads.mistakes import UserMistake
from segheads.segmentors.image_channels import channel_fault

from .images import ImageLike, ImageReader, LoadedImage

# Batches that wait to be filled, in multiples of their size: sizes of images may all differ.
WAITING_BATCHES = 4
# Encoders and heads divide the size of their input by 32.
SMALLEST_SIDE = 32

Item = TypeVar('Item')


def predict(
    model: BaseSegmentor, images: ImageLike | Sequence[ImageLike], batch_size: int = 1
) -> np.ndarray | list[np.ndarray]:
    """Predicts the class of every pixel.

    Images go through the test pipeline of the config, as in evaluation; files are read by its own
    loading transform, so that the model gets the pixels that it was trained on.

    Args:
        model (BaseSegmentor): As :func:`load` or MMSegmentation's ``init_model`` returns it.
        images (ImageLike | Sequence[ImageLike]): One image, or a list or tuple of images of any
            sizes: paths, images of Pillow, NumPy arrays whose channels are in the order red,
            green, blue (see :class:`segheads.inference.images.ImageReader`), or what
            :func:`segheads.inference.images.read_image` returns.
        batch_size (int): How many images of one size the model takes at once. Default: 1.

    Returns:
        numpy.ndarray | list[numpy.ndarray]: Class indices, (H, W) in int64, of the size of the
        image; for a list of images a list in the same order.

    Raises:
        UserMistake: If an image cannot be read, is too small for the model or has another number
            of channels, or if ``batch_size`` is not positive.
    """
    if batch_size < 1:
        raise UserMistake(f'batch_size must be 1 or more, but is {batch_size}')
    many = images if isinstance(images, (list, tuple)) else [images]
    reader = ImageReader(model.cfg)
    prepare = _preparation(model, reader.pipeline)
    prepared = ((index, prepare(reader(image))) for index, image in enumerate(many))
    class_maps: list[np.ndarray] = [None] * len(many)
    for batch in batches_of_one_size(prepared, lambda each: each[1]['inputs'].shape, batch_size):
        data = {key: [each[key] for _, each in batch] for key in ('inputs', 'data_samples')}
        samples = _segment(model, data)
        for (index, _), sample in zip(batch, samples, strict=True):
            class_maps[index] = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
    return class_maps if isinstance(images, (list, tuple)) else class_maps[0]


def batches_of_one_size(
    items: Iterable[Item], size_of: Callable[[Item], Hashable], batch_size: int
) -> Iterator[list[Item]]:
    """Puts items of the same size together, holding few of them at a time.

    Args:
        items (Iterable): Anything that has a size.
        size_of (Callable): Returns the size of an item.
        batch_size (int): Most items in a batch.

    Yields:
        list: Items of the same size. A batch has fewer than ``batch_size`` if no more of its size
        come, or if too many items of other sizes wait.
    """
    waiting: dict[Hashable, list[Item]] = defaultdict(list)
    for item in items:
        waiting[size_of(item)].append(item)
        fullest = max(waiting, key=lambda size: len(waiting[size]))
        too_many = sum(map(len, waiting.values())) >= WAITING_BATCHES * batch_size
        if too_many or len(waiting[fullest]) == batch_size:
            yield waiting.pop(fullest)
    yield from waiting.values()


def _preparation(
    model: BaseSegmentor, pipeline: ImagePipeline
) -> Callable[[LoadedImage], dict[str, Any]]:
    """Returns what makes the model's input of a loaded image."""
    pads = bool(model.data_preprocessor.test_cfg)
    transforms = pipeline.preparation()

    def prepare(image: LoadedImage) -> dict[str, Any]:
        prepared = dict(image.results)
        for transform in transforms:
            try:
                prepared = transform(prepared)
            except Exception as error:  # most transforms are made for three channels of 8 bits
                shape = 'x'.join(map(str, image.shape))
                raise UserMistake(
                    f'{type(transform).__name__} of the test pipeline does not take an image of '
                    f'{shape} in {image.pixels.dtype}: {str(error).strip().splitlines()[0]}'
                ) from error
        height, width = prepared['inputs'].shape[1:]
        if min(height, width) < SMALLEST_SIDE and not pads:
            raise UserMistake(
                f'an image of {image.shape[1]}x{image.shape[0]} pixels is too small: the model '
                f'gets it as {width}x{height}, and needs {SMALLEST_SIDE} per side; enlarge it'
            )
        return prepared

    return prepare


def _segment(model: BaseSegmentor, data: dict[str, list[Any]]) -> list[SegDataSample]:
    """Runs the model; where that fails for the number of channels, says so."""
    try:
        with torch.no_grad():
            return model.test_step(data)
    except RuntimeError as error:
        fault = channel_fault(model, len(data['inputs'][0]))
        if fault is None:
            raise
        raise UserMistake(fault) from error
