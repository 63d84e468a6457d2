"""Names and shapes of the weights in a checkpoint."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from segheads.mistakes import UserMistake

from .contents import weights_of
from .fit import check_checkpoint_file
from .safe_loading import read_checkpoint


def read_weights(path: str) -> dict[str, Tensor]:
    """Reads the weights of a checkpoint.

    Args:
        path (str): A file that holds weights by name, on their own or among other things.

    Returns:
        dict[str, Tensor]: Weights by name, without the 'module.' that distributed training
        prepends.

    Raises:
        UserMistake: If the file does not exist or holds no weights.
        segheads.checkpoints.CheckpointError: If it is no checkpoint, or might run code.
    """
    check_checkpoint_file(path)
    content = read_checkpoint(path)
    weights = weights_of(content)
    if not weights:
        raise UserMistake(f'{path} holds no weights by name, but {_describe(content)}')
    return weights


def list_modules(weights: Mapping[str, Tensor]) -> list[str]:
    """Writes one line per module, in the order of the checkpoint.

    Args:
        weights (Mapping[str, Tensor]): Weights by name.

    Returns:
        list[str]: Lines such as ``decode_head.conv_seg  weight 150x128x1x1, bias 150``. The data
        type is named where it is not float32.
    """
    modules: dict[str, list[str]] = {}
    for name, tensor in weights.items():
        module, _, parameter = name.rpartition('.')
        modules.setdefault(module, []).append(f'{parameter} {_shape(tensor)}')
    width = max(map(len, modules), default=0)
    return [f'{module:{width}}  {", ".join(tensors)}' for module, tensors in modules.items()]


def count_values(weights: Mapping[str, Tensor]) -> list[str]:
    """Counts the values in each part of the network, such as backbone and decode_head.

    Args:
        weights (Mapping[str, Tensor]): Weights by name.

    Returns:
        list[str]: One line per part, and one for all. Running statistics count too.
    """
    counts: Counter[str] = Counter()
    for name, tensor in weights.items():
        counts[name.partition('.')[0]] += tensor.numel()
    return [
        f'{count:>14,}  {part}' for part, count in (*counts.items(), ('in all', counts.total()))
    ]


def _describe(content: Mapping[str, Any]) -> str:
    return f'the entries {", ".join(map(repr, content))}' if content else 'nothing at all'


def _shape(tensor: Tensor) -> str:
    shape = 'x'.join(map(str, tensor.shape)) or 'scalar'
    return shape if tensor.dtype == torch.float32 else f'{shape} {str(tensor.dtype)[6:]}'
