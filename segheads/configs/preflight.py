"""Checks that take moments and come before anything that takes long."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.model import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS, Registry
from mmseg.registry import DATASETS, MODELS

from segheads.data.checks import check_dataset, leaf_datasets
from segheads.data.labels import check_learnable
from segheads.mistakes import UserMistake, near_matches, tell
from segheads.registered_types import is_type

from .windows import check_windows

DOWNLOADABLE = re.compile(r'(mit_b[012]|mscan_[ts])_\d{8}-[0-9a-f]{8}\.pth')


def check_modules(cfg: Config) -> None:
    """Checks that the registry knows the model's parts, their losses and the data sets.

    Args:
        cfg (Config): The config of a run.

    Raises:
        UserMistake: If one is not registered; the sentence names similar ones. Also if the windows
            of a prediction would leave gaps.
    """
    for key, part in _model_parts(cfg.model):
        _check_registered(MODELS, key, part)
    check_windows(cfg.model.get('test_cfg'))
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(loader):
            for key, dataset in leaf_datasets(cfg[loader].dataset, f'{loader}.dataset'):
                _check_registered(DATASETS, key, dataset)


def check_pretrained(model: dict[str, Any], checkpoint: str | None = None) -> None:
    """Checks that the pretrained weights that a model names are there.

    Args:
        model (dict): The ``model`` of a config. Missing weights are removed from it if a
            checkpoint is loaded afterwards anyway.
        checkpoint (str | None): The checkpoint that the run resumes or starts from.

    Raises:
        UserMistake: If a file is missing and nothing else is loaded; the sentence says how to get
            it, and how to train without.
    """
    missing = [
        (key, path)
        for key, path in pretrained_files(model)
        if '://' not in path and not Path(path).expanduser().is_file()
    ]
    if missing and checkpoint:
        forget_pretrained(model)
        paths = ', '.join(path for _, path in missing)
        tell(f'{paths} does not exist, and is not needed: weights come from {checkpoint}.')
    elif missing:
        key, path = missing[0]
        name = DOWNLOADABLE.fullmatch(Path(path).name)
        remedy = (
            f'get them by `segheads download {name[1]}`'
            if name
            else 'put them there, or correct the path'
        )
        raise UserMistake(
            f'the pretrained weights {path}, named by {key}, do not exist in {Path.cwd()}; '
            f'{remedy}, or train from random weights with `--cfg-options {key}=None`'
        )


def forget_pretrained(model: dict[str, Any]) -> None:
    """Removes pretrained weights from a model whose weights all come from a checkpoint.

    Args:
        model (dict): The ``model`` of a config; it is changed in place.
    """
    for key, _ in list(_pretrained_settings(model, 'model')):
        *parents, last = key.split('.')[1:]
        node = model
        for parent in parents:
            node = node[int(parent) if isinstance(node, (list, tuple)) else parent]
        node[last] = None


def pretrained_files(part: Any, key: str = 'model') -> Iterator[tuple[str, str]]:
    """Walks through a model's config and finds what names pretrained weights.

    Args:
        part (Any): The ``model`` of a config, or a part of it.
        key (str): The dotted key of ``part``.

    Yields:
        tuple[str, str]: The dotted key which, set to None, does without the weights, and their
        path or address.
    """
    for name, value in _pretrained_settings(part, key):
        if isinstance(value, str):
            yield name, value


def _pretrained_settings(part: Any, key: str) -> Iterator[tuple[str, str | bool]]:
    """Also yields ``pretrained=True``, by which timm gets the weights of an encoder itself."""
    if isinstance(part, Mapping):
        for name, child in part.items():
            if name == 'pretrained' and (isinstance(child, str) or child is True):
                yield f'{key}.{name}', child
            elif name == 'init_cfg':
                for init in child if isinstance(child, (list, tuple)) else [child]:
                    if is_type(init, WEIGHT_INITIALIZERS, PretrainedInit):
                        yield f'{key}.{name}', init['checkpoint']
            else:
                yield from _pretrained_settings(child, f'{key}.{name}')
    elif isinstance(part, (list, tuple)):
        for index, child in enumerate(part):
            yield from _pretrained_settings(child, f'{key}.{index}')


def check_data(cfg: Config, splits: Sequence[str], read_masks: bool = True) -> None:
    """Checks the data that a run reads.

    Args:
        cfg (Config): The config of a run.
        splits (Sequence[str]): Of 'train', 'val' and 'test' those that the run reads.
        read_masks (bool): Whether to read some masks and look at their labels. Default: True.

    Raises:
        UserMistake: As :func:`segheads.data.checks.check_dataset` for each data set, and
            :func:`segheads.data.labels.check_learnable` for those of a split together, or if
            padding is a class.
    """
    _check_padding(cfg)
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        evaluator = _last(cfg.get(f'{split}_evaluator') or {})
        if not loader or (split != 'train' and evaluator.get('format_only')):
            continue
        found = [
            check_dataset(
                dataset, key, classes_of_head(cfg), ignored_labels(cfg, split), read_masks
            )
            for key, dataset in leaf_datasets(loader.dataset, f'{split}_dataloader.dataset')
        ]
        check_learnable([masks for masks in found if masks], trains=split == 'train')


def _check_padding(cfg: Config) -> None:
    """Refuses padding of masks by a label that would be learnt as a class."""
    label = (cfg.model.get('data_preprocessor') or {}).get('seg_pad_val', 255)
    classes = classes_of_head(cfg)
    # Fewer classes than 256 leave the default alone; other labels may be meant.
    if classes and label == 255 < classes and label not in ignored_labels(cfg, 'train'):
        raise UserMistake(
            f'model.data_preprocessor.seg_pad_val={label} is one of the {classes} classes, so '
            'padding would be learnt as that class; set it to the ignore_index of '
            'model.decode_head'
        )


def classes_of_head(cfg: Config) -> int | None:
    """Returns how many classes the (last) decode head tells apart, None if it does not say.

    A head with one output tells two, an object and what is around it.
    """
    head = _last(cfg.model.get('decode_head') or {})
    num_classes = head.get('num_classes')
    return 2 if 1 in (num_classes, head.get('out_channels')) else num_classes


def ignored_labels(cfg: Config, split: str) -> set[int]:
    """Returns the labels that a run skips: the loss the head's, the metric its own.

    Args:
        cfg (Config): The config of a run.
        split (str): 'train', 'val' or 'test'.

    Returns:
        set[int]: Labels allowed in the masks besides the classes.
    """
    labels = {_last(cfg.model.get('decode_head') or {}).get('ignore_index', 255)}
    if split != 'train':
        labels.add(_last(cfg.get(f'{split}_evaluator') or {}).get('ignore_index', 255))
    return labels


def _model_parts(model: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield 'model', model
    for name in ('backbone', 'neck', 'decode_head', 'auxiliary_head'):
        for key, part in _numbered(model.get(name), f'model.{name}'):
            yield key, part
            yield from _numbered(part.get('loss_decode'), f'{key}.loss_decode')


def _numbered(parts: Any, key: str) -> list[tuple[str, Mapping[str, Any]]]:
    if isinstance(parts, (list, tuple)):
        return [(f'{key}.{index}', part) for index, part in enumerate(parts)]
    return [(key, parts)] if parts else []


def _last(parts: Any) -> Mapping[str, Any]:
    return parts[-1] if isinstance(parts, (list, tuple)) else parts


def _check_registered(registry: Registry, key: str, part: Mapping[str, Any]) -> None:
    if 'type' not in part:
        raise UserMistake(f'{key} has no type; name the class to build')
    name = part['type']
    if not isinstance(name, str) or registry.get(name) is not None:
        return
    known = [*registry.module_dict, *(registry.parent.module_dict if registry.parent else ())]
    raise UserMistake(
        f'{key}.type={name!r} is not registered with MMSegmentation (for a class of your own, list '
        f'its module in custom_imports of the config){near_matches(name, known)}'
    )
