"""A model from a config and a checkpoint, and class maps from images.

What :func:`load` returns is an ordinary segmentor of MMSegmentation, so that ``inference_model``
and everything else of MMSegmentation take it too. As its own method ``predict`` means something
else, prediction is a function beside it.
"""

import copy
import warnings
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from segheads.checkpoints.fit import check_checkpoint_file, load_weights
from segheads.checkpoints.pretrained import load_pretrained_parts, pretrained_parts
from segheads.configs.loading import load_config, require_keys, told_as_mistakes
from segheads.configs.preflight import check_modules
from segheads.configs.pretrained import check_pretrained, forget_pretrained
from segheads.data.image_files import ImagePipeline
from segheads.data.meta import dataset_meta
from segheads.mistakes import UserMistake
from segheads.segmentors.image_channels import channel_fault

from .images import ImageLike, ImageReader, LoadedImage, test_pipeline

# Batches that wait to be filled, in multiples of their size: sizes of images may all differ.
WAITING_BATCHES = 4
# Encoders and heads divide the size of their input by 32.
SMALLEST_SIDE = 32

Item = TypeVar('Item')


def load(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    *,
    pretrained: bool | str | Path = False,
    allow_partial: bool = False,
) -> BaseSegmentor:
    """Builds a model, loads its weights and makes it ready to predict.

    Args:
        config (str | Path | Config): A name of :func:`segheads.list_models`, a config file or a
            config.
        checkpoint (str | Path | None): Weights for every parameter of the model. Default: None,
            which leaves the model with random weights, and warns.
        device (str | None): Such as 'cpu' or 'cuda:1'. Default: None, which is the GPU if there is
            one.
        pretrained (bool | str | Path): Whether the encoder gets the pretrained weights that the
            config names, or the same encoder's from elsewhere on this machine; or a file, folder
            or address of other ones, such as 'hf://nvidia/mit-b0'. The head stays random.
            Default: False.
        allow_partial (bool): Whether parameters that the checkpoint lacks may stay random.
            Default: False.

    Returns:
        BaseSegmentor: The model, in evaluation mode. ``dataset_meta`` holds its 'classes' and their
        colours, 'palette'; ``cfg`` its config.

    Raises:
        UserMistake: If the config or the checkpoint cannot be read, if the checkpoint does not fit
            the model, or if there is no such device. Also if pretrained weights are to be loaded
            beside a checkpoint, are not there, or do not fit the encoder.
        segheads.checkpoints.CheckpointError: If the checkpoint is damaged, or might run code.

    Examples:
        >>> model = segheads.load('ccaseg_b0_ade20k', 'iter_160000.pth')
        >>> class_map = segheads.predict(model, 'street.jpg')
        >>> segheads.draw(model, 'street.jpg', class_map).save('overlay.png')
    """
    cfg = copy.deepcopy(config) if isinstance(config, Config) else load_config(str(config))
    require_keys(cfg, ('model',))
    if checkpoint is not None:
        check_checkpoint_file(str(checkpoint))
    target = _find_device(device)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    check_modules(cfg)
    if pretrained:
        _choose_pretrained(cfg, pretrained, checkpoint)
    else:
        forget_pretrained(cfg.model)
    named = list(pretrained_parts(cfg.model))
    with told_as_mistakes(cfg):
        model = MODELS.build(cfg.model)
    if pretrained and not named and getattr(model.backbone, 'pretrained', False) is True:
        model.backbone.init_weights()  # it downloads by itself
    elif pretrained:
        load_pretrained_parts(model, named)
    # It works across the processes of a training only.
    model = revert_sync_batchnorm(model)
    if checkpoint is None:
        warnings.warn(
            f'no checkpoint was given, so the weights of the {"head" if pretrained else "model"} '
            'are random and what it predicts means nothing',
            stacklevel=2,
        )
        meta = {}
    else:
        meta = load_weights(model, str(checkpoint), allow_partial=allow_partial)
    model.dataset_meta = dataset_meta(meta, cfg, model.num_classes)
    # Where MMSegmentation's inference_model looks for it.
    cfg.setdefault('test_pipeline', test_pipeline(cfg))
    model.cfg = cfg
    return model.to(target).eval()


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


def _choose_pretrained(
    cfg: Config, pretrained: bool | str | Path, checkpoint: str | Path | None
) -> None:
    """Lets the encoder of a config name weights that are there."""
    if checkpoint is not None:
        raise UserMistake(
            f'the checkpoint {checkpoint} holds weights for the whole model: leave pretrained out'
        )
    if pretrained is not True:
        check_checkpoint_file(str(pretrained))
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(pretrained))
        cfg.model.pop('pretrained', None)
    check_pretrained(cfg.model)


def _find_device(device: str | None) -> torch.device:
    try:
        found = torch.device(device or get_device())
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:  # AssertionError: PyTorch built without CUDA
        reason = str(error).partition('\n')[0]
        raise UserMistake(f'the device {device} cannot be used ({reason}); try cpu') from error
    return found


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
