"""The pretrained weights that a model's config names: are they there, and whose are they."""

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

from mmengine.model import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from mmseg.models.backbones import TIMMBackbone
from mmseg.registry import MODELS

from segheads.mistakes import UserMistake, tell
from segheads.registered_types import is_type
from segheads.weights.at_hand import find_at_hand
from segheads.weights.sources import WEIGHTS, name_of

# MMSegmentation's older arguments for what `init_cfg` says.
FILE_ARGUMENTS = ('pretrained', 'checkpoint_path')


def check_pretrained(model: dict[str, Any], checkpoint: str | None = None) -> None:
    """Checks that the pretrained weights that a model names are there, and says where from.

    Args:
        model (dict): The ``model`` of a config. A missing file gives way to the same encoder's
            weights from elsewhere, if they are on this machine; missing weights are removed if a
            checkpoint is loaded afterwards anyway.
        checkpoint (str | None): The checkpoint that the run resumes or starts from.

    Raises:
        UserMistake: If a file is missing and nothing else is loaded; the sentence says how to get
            it, and how to train without.
    """
    found, missing = use_weights_at_hand(model)
    if missing and checkpoint:
        forget_pretrained(model)
        paths = ', '.join(path for _, path in missing)
        tell(f'{paths} does not exist, and is not needed: weights come from {checkpoint}.')
    elif missing:
        key, path = missing[0]
        raise UserMistake(
            f'the pretrained weights {path}, named by {key}, do not exist in {Path.cwd()}; '
            f'{_remedy(path)}, or train from random weights with `--cfg-options {key}=None`'
        )
    elif not checkpoint:
        for sentence in found:
            tell(sentence)


def use_weights_at_hand(model: dict[str, Any]) -> tuple[list[str], list[tuple[str, str]]]:
    """Lets a model name files that are there, where the same encoder's weights are elsewhere.

    Args:
        model (dict): The ``model`` of a config; it is changed in place.

    Returns:
        tuple[list[str], list[tuple[str, str]]]: A sentence for each weights that are there, which
        says where they come from; and the dotted keys and paths of those that are not.
    """
    found, missing = [], []
    for key, part, name in _pretrained(model):
        path = part[name]
        weights = find_at_hand(path)
        if weights is None:
            missing.append((key, path))
            continue
        origin = ''
        if weights.path != path:
            part[name] = weights.path
            origin = f', which comes from {weights.origin}, in place of {path}'
        found.append(f'Pretrained weights of {key.rpartition(".")[0]}: {weights.path}{origin}.')
    return found, missing


def forget_pretrained(model: dict[str, Any]) -> None:
    """Removes pretrained weights from a model whose weights all come from a checkpoint.

    Args:
        model (dict): The ``model`` of a config; it is changed in place. Encoders that would
            download weights when they are built no longer do.
    """
    for key, _ in list(pretrained_files(model)):
        *parents, last = key.split('.')[1:]
        node = model
        for parent in parents:
            node = node[int(parent) if isinstance(node, (list, tuple)) else parent]
        node[last] = None
    _forget_downloads(model)


def _forget_downloads(part: Any) -> None:
    if isinstance(part, MutableMapping):
        if part.get('pretrained') is True or is_type(part, MODELS, TIMMBackbone):
            part['pretrained'] = False
        for child in part.values():
            _forget_downloads(child)
    elif isinstance(part, (list, tuple)):
        for child in part:
            _forget_downloads(child)


def pretrained_files(part: Any, key: str = 'model') -> Iterator[tuple[str, str]]:
    """Walks through a model's config and finds what names pretrained weights.

    Args:
        part (Any): The ``model`` of a config, or a part of it.
        key (str): The dotted key of ``part``.

    Yields:
        tuple[str, str]: The dotted key which, set to None, does without the weights, and their
        path or address.
    """
    for dotted, holder, name in _pretrained(part, key):
        yield dotted, holder[name]


def _pretrained(part: Any, key: str = 'model') -> Iterator[tuple[str, MutableMapping, str]]:
    """Finds pretrained weights: their dotted key, and what holds their path under which name."""
    if isinstance(part, MutableMapping):
        for name, child in part.items():
            if name in FILE_ARGUMENTS and child and isinstance(child, str):
                yield f'{key}.{name}', part, name
            elif name == 'init_cfg':
                for init in child if isinstance(child, (list, tuple)) else [child]:
                    if is_type(init, WEIGHT_INITIALIZERS, PretrainedInit):
                        yield f'{key}.{name}', init, 'checkpoint'
            else:
                yield from _pretrained(child, f'{key}.{name}')
    elif isinstance(part, (list, tuple)):
        for index, child in enumerate(part):
            yield from _pretrained(child, f'{key}.{index}')


def _remedy(path: str) -> str:
    name = name_of(path)
    if name is None:
        return 'put them there, or correct the path'
    hub = f' or `segheads download {WEIGHTS[name].hub}`' if WEIGHTS[name].hub else ''
    return f'get them by `segheads download {name}`{hub}'
