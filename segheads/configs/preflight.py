"""Checks that take moments and come before anything that takes long."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.registry import DATASETS, MODELS

from segheads.data.checks import check_dataset, leaf_datasets
from segheads.data.labels import check_learnable
from segheads.mistakes import UserMistake, near_matches

from .windows import check_windows


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
