"""An error deep inside a run, told by the key of the config that it comes from."""

import contextlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mmengine.config import Config
from mmengine.runner import BaseLoop, TestLoop, ValLoop
from torch import Tensor

from segheads.configs.signatures import parts_of
from segheads.mistakes import UserMistake, sentence_for
from segheads.registered_types import type_of

# The heads take images from this size on; which smaller ones work depends on the encoder.
SMALLEST_SIDE = 32
# Functions of MMEngine that build what has no class of its own in a config.
BUILT_BY = {
    'build_optim_wrapper': 'optim_wrapper',
    'build_param_scheduler': 'param_scheduler',
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_test_loop': 'test_cfg',
    'build_evaluator': 'an evaluator',
    'build_visualizer': 'visualizer',
    'build_log_processor': 'log_processor',
    'register_hooks': 'default_hooks or custom_hooks',
    'set_randomness': 'randomness',
    'setup_env': 'env_cfg',
    'build_model': 'model',
}


@contextmanager
def told_by_key(cfg: Config) -> Iterator[None]:
    """Answers whatever fails by a sentence with the key of the config that it comes from.

    Args:
        cfg (Config): The config of a run.

    Raises:
        UserMistake: In place of any error.
    """
    try:
        yield
    except UserMistake:
        raise
    except Exception as error:
        raise UserMistake(sentence_of_failure(error, cfg)) from error


@contextmanager
def batches_told() -> Iterator[None]:
    """Answers errors that the images of a batch explain by a sentence, and leaves others.

    Raises:
        UserMistake: In place of such an error.
    """
    try:
        yield
    except UserMistake:
        raise
    except Exception as error:
        if told := _fault_of_batch(error, _frames(error)):
            raise UserMistake(told) from error
        raise


def sentence_of_failure(error: Exception, cfg: Config) -> str:
    """Writes an error as one sentence, with the part of the config that it comes from.

    Args:
        error (Exception): The error.
        cfg (Config): The config of the run.

    Returns:
        str: The sentence.
    """
    frames = _frames(error)
    told = sentence_for(error) or _fault_of_batch(error, frames) or _fault_of_metric(error, frames)
    if told is not None:
        return told
    reason = f'{type(error).__name__}: {first_line(error)}'
    remedy = 'install it' if isinstance(error, ImportError) else 'correct its settings'
    keys = _keys_by_class(cfg)
    for depth, frame in enumerate(frames):
        owner = frame.f_locals.get('self')
        for kind in type(owner).__mro__ if owner is not None else ():
            if kind in keys:
                return f'{keys[kind]} ({kind.__name__}) fails with {reason}; {remedy}'
        name = frame.f_code.co_name
        if name == 'build_dataloader':
            split = _split(frames[depth:]) or 'a'
            return f'{split}_dataloader fails with {reason}; correct it'
        if name in BUILT_BY:
            return f'{BUILT_BY[name]} of the config fails with {reason}; {remedy}'
    return f'the config fails in a run with {reason}; --verbose --no-rehearsal shows where'


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, shortened if need be."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else 'without a message'


def _fault_of_batch(error: Exception, frames: Sequence[FrameType]) -> str | None:
    """Says what is wrong with the images of the batch that an iteration of a loop failed on."""
    batches = (frame.f_locals.get('data_batch') for frame in frames)
    batch = next(filter(None, batches), None)
    split = _split(frames)
    if split is None or not isinstance(batch, Mapping):
        return None
    sizes = list(_sizes(batch.get('inputs')))
    if not sizes:
        return None
    text = str(error)
    if 'image size in a batch' in text or 'stack expects each tensor to be equal size' in text:
        if len(set(sizes)) > 1:
            return _several_sizes(split, sizes)
    if 'Expected more than 1 value per channel' in text:
        return (
            f'a batch of {len(sizes)} image of {_written(sizes[0])} leaves a batch norm of the '
            f'model one value per channel, too few to train by; set {split}_dataloader.batch_size '
            'to 2 or more, or larger crops'
        )
    smallest = min(sizes, key=min)
    if min(smallest) >= SMALLEST_SIDE:
        return None
    # Scales of test-time augmentation make several images of one.
    scaled = isinstance(batch['inputs'][0], (list, tuple))
    cause = 'a scale of tta_pipeline' if scaled else f'the pipeline of {split}_dataloader.dataset'
    return (
        f'{_name_of_image(batch)} is too small for the model: {cause} yields {_written(smallest)} '
        f'pixels, and {SMALLEST_SIDE} per side are needed ({type(error).__name__}: '
        f'{first_line(error)}); scale it up there, or pad it by '
        f'model.data_preprocessor.{"" if split == "train" else "test_cfg."}size_divisor='
        f'{SMALLEST_SIDE}'
    )


def _several_sizes(split: str, sizes: Sequence[tuple[int, int]]) -> str:
    several = ' and '.join(_written(size) for size in sorted(set(sizes))[:3])
    if split == 'train':
        remedy = (
            'let the pipeline end in a crop of one size (RandomCrop), and set '
            'model.data_preprocessor.size to that size, which pads smaller images'
        )
    else:
        remedy = f'set {split}_dataloader.batch_size=1, or let the pipeline resize to one size'
    return f'the images of a batch of {split}_dataloader have several sizes, {several}; {remedy}'


def _sizes(inputs: Any) -> Iterator[tuple[int, int]]:
    if isinstance(inputs, Tensor) and inputs.dim() >= 3:
        count = len(inputs) if inputs.dim() == 4 else 1
        yield from [tuple(inputs.shape[-2:])] * count
    elif isinstance(inputs, (list, tuple)):
        for each in inputs:
            yield from _sizes(each)


def _name_of_image(batch: Mapping[str, Any]) -> str:
    samples = batch.get('data_samples') or ()
    while isinstance(samples, (list, tuple)) and samples:
        samples = samples[0]
    path = getattr(samples, 'img_path', None)
    return f'the image {path}' if path else 'an image'


def _written(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def _fault_of_metric(error: Exception, frames: Sequence[FrameType]) -> str | None:
    """Says what a metric of MMSegmentation misses in the data set."""
    if not isinstance(error, KeyError) or not error.args:
        return None
    split = _split(frames)
    key = f'{split}_dataloader.dataset'
    if error.args[0] == 'classes':
        return f'{key} has no class names; set its metainfo=dict(classes=(...), palette=[...])'
    if error.args[0] == 'gt_sem_seg':
        return (
            f'the pipeline of {key} loads no masks to compare with; add '
            f"dict(type='LoadAnnotations') to it, or set {split}_evaluator, {split}_dataloader and "
            f'{split}_cfg to None'
        )
    return None


def _split(frames: Sequence[FrameType]) -> str | None:
    """Finds the split of the loop that was running, or was being built."""
    for frame in frames:
        loop = frame.f_locals.get('self')
        if isinstance(loop, BaseLoop):
            names = {ValLoop: 'val', TestLoop: 'test'}
            return next((names[kind] for kind in names if isinstance(loop, kind)), 'train')
    return None


def _frames(error: Exception) -> list[FrameType]:
    """Lists the frames that an error came through, the innermost first."""
    return [frame for frame, _ in traceback.walk_tb(error.__traceback__)][::-1]


def _keys_by_class(cfg: Config) -> dict[type, str]:
    keys: dict[type, str] = {}
    with contextlib.suppress(UserMistake):
        for part in parts_of(cfg):
            found = type_of(part.config, part.registry)
            if isinstance(found, type):
                keys.setdefault(found, part.key)
    return keys
