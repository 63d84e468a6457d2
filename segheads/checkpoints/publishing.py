"""Checkpoints made ready to be shared."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from segheads.mistakes import UserMistake

from .contents import check_target, weights_of, write_weights
from .fit import check_checkpoint_file
from .safe_loading import read_checkpoint


def publish(source: str, target: Path, half: bool = False) -> Path:
    """Writes the part of a checkpoint that others need.

    Args:
        source (str): The checkpoint of a training run.
        target (Path): The file to write, without the hash; its suffix says in which format.
        half (bool): Whether weights are written in 16 bits; see :func:`in_half_precision`.
            Default: False.

    Returns:
        Path: The file that was written.

    Raises:
        UserMistake: If there are no weights in it, or 16 bits do not hold them.
        ValueError: If the suffix names no format.
    """
    check_target(target)
    check_checkpoint_file(source)
    checkpoint = read_checkpoint(source)
    weights = weights_of(checkpoint)
    if not weights:
        raise UserMistake(f'{source} holds no weights by name')
    if half:
        weights = in_half_precision(weights)
    write_weights(target, weights, checkpoint.get('meta') or {})
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    return target.rename(target.with_name(f'{target.stem}-{digest[:8]}{target.suffix}'))


def in_half_precision(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rounds the weights of a model to 16 bits, which halves its file.

    Vectors stay as they are: biases, and what norms hold, whose variances may be too small or too
    large for 16 bits. They are a hundredth of a model. A model computes in the precision that it
    has been built in, whatever its weights are loaded from.

    Args:
        weights (dict[str, Tensor]): Weights by name.

    Returns:
        dict[str, Tensor]: The same, those of two and more dimensions in float16.

    Raises:
        UserMistake: If one is too large for it.
    """
    rounded = {}
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.dim() > 1:
            half = tensor.to(torch.float16)
            if not torch.equal(half.isfinite(), tensor.isfinite()):
                raise UserMistake(
                    f'{name} holds {tensor.abs().max():.3g}, and 16 bits hold at most 65504; '
                    'publish it without --half'
                )
            tensor = half
        rounded[name] = tensor
    return rounded
