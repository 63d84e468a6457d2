"""A model with what makes its input of an image, for one image or for thousands."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from mmcv.transforms import TestTimeAug
from mmseg.models import BaseSegmentor
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample
from torch import nn

from segheads.configs.unlabelled import remove_mask_loaders
from segheads.data.image_files import ImagePipeline, Transform
from segheads.mistakes import UserMistake
from segheads.registered_types import is_type
from segheads.segmentors.image_channels import channel_fault

from .images import ImageLike, ImageReader, LoadedImage
from .probabilities import Prediction, combine_views

# Batches that wait to be filled, in multiples of their size: sizes of images may all differ.
WAITING_BATCHES = 4
# Encoders and heads divide the size of their input by 32.
SMALLEST_SIDE = 32

Item = TypeVar('Item')


class Predictor:
    """Predicts batch after batch, by the test pipeline of the model's config.

    Args:
        model (BaseSegmentor): As :func:`segheads.load` returns it.
        batch_size (int): How many images of one size the model takes at once. Default: 1.
        scores (bool): Whether to return the probability of each pixel's class. Default: False.
        probabilities (bool): Whether to return those of all classes. Default: False.
        augmented (bool): Whether to average the probabilities over the views of ``tta_pipeline``,
            such as mirrored and resized ones. Default: False.

    Attributes:
        read (ImageReader): Reads an image as the config does.

    Raises:
        UserMistake: If ``batch_size`` is not positive, or if there is no ``tta_pipeline``.
    """

    def __init__(
        self,
        model: BaseSegmentor,
        batch_size: int = 1,
        *,
        scores: bool = False,
        probabilities: bool = False,
        augmented: bool = False,
    ) -> None:
        if batch_size < 1:
            raise UserMistake(f'batch_size must be 1 or more, but is {batch_size}')
        self.model = model
        self.batch_size = batch_size
        self.scores = scores
        self.probabilities = probabilities
        self.augmented = augmented
        self.read = ImageReader(model.cfg)
        self._transforms = _preparation(model, self.read.pipeline, augmented)
        self._pads = bool(model.data_preprocessor.test_cfg)

    def __call__(self, images: Sequence[ImageLike]) -> list[Prediction]:
        """Predicts images of one size.

        Args:
            images (Sequence[ImageLike]): The images, or what ``read`` returned for them.

        Returns:
            list[Prediction]: One per image.

        Raises:
            UserMistake: If one cannot be read, is too small for the model or has another number of
                channels.
        """
        prepared = [self.prepare(self.read(image)) for image in images]
        results = []
        for view in range(len(prepared[0]['inputs'])):
            data = {
                key: [each[key][view] for each in prepared] for key in ('inputs', 'data_samples')
            }
            results.append(_segment(self.model, data))
        threshold = threshold_of(self.model)
        return [
            combine_views(views, threshold, self.scores, self.probabilities)
            for views in zip(*results, strict=True)
        ]

    def in_batches(
        self, images: Iterable[tuple[Hashable, LoadedImage]]
    ) -> Iterator[tuple[Hashable, Prediction]]:
        """Predicts images of any sizes, those of one size together.

        Args:
            images (Iterable[tuple]): A key and an image each.

        Yields:
            tuple: The key and the prediction, not in the order of the images.
        """
        for batch in batches_of_one_size(images, lambda each: each[1].shape, self.batch_size):
            predictions = self([image for _, image in batch])
            for (key, _), prediction in zip(batch, predictions, strict=True):
                yield key, prediction

    def prepare(self, image: LoadedImage) -> dict[str, list[Any]]:
        """Makes the model's input of an image.

        Args:
            image (LoadedImage): The image.

        Returns:
            dict: 'inputs' (C, h, w) and 'data_samples', lists of one per view: a single one unless
            augmented.

        Raises:
            UserMistake: If the pipeline does not take it, or if it is too small.
        """
        prepared: dict[str, Any] = dict(image.results)
        for transform in self._transforms:
            try:
                prepared = transform(prepared)
            except Exception as error:  # most transforms are made for three channels of 8 bits
                shape = 'x'.join(map(str, image.shape))
                raise UserMistake(
                    f'{type(transform).__name__} of the test pipeline does not take an image of '
                    f'{shape} in {image.pixels.dtype}: {str(error).strip().splitlines()[0]}'
                ) from error
        if not isinstance(prepared['inputs'], list):
            prepared = {key: [value] for key, value in prepared.items()}
        for inputs in prepared['inputs']:
            height, width = inputs.shape[1:]
            if min(height, width) < SMALLEST_SIDE and not self._pads:
                raise UserMistake(
                    f'an image of {image.shape[1]}x{image.shape[0]} pixels is too small: the model '
                    f'gets it as {width}x{height}, and needs {SMALLEST_SIDE} per side; enlarge it'
                )
        return prepared


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


def threshold_of(model: BaseSegmentor) -> float | None:
    """Returns the probability that a model with one output compares with; None for any other."""
    if getattr(model, 'out_channels', None) != 1:
        return None
    head = model.decode_head
    return (head[-1] if isinstance(head, nn.ModuleList) else head).threshold


def _preparation(model: BaseSegmentor, pipeline: ImagePipeline, augmented: bool) -> list[Transform]:
    """Builds the transforms between a loaded image and the model."""
    if not augmented:
        return pipeline.preparation()
    steps = remove_mask_loaders(model.cfg.get('tta_pipeline') or [])
    if not any(is_type(step, TRANSFORMS, TestTimeAug) for step in steps):
        raise UserMistake(
            'the config has no tta_pipeline with a TestTimeAug, so there is nothing to augment by; '
            'add one, or predict without test-time augmentation'
        )
    return ImagePipeline(steps).preparation()


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
