"""Looks at a data set before training does: folders, pairs of image and mask, labels."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS

from segheads.mistakes import UserMistake, tell
from segheads.registered_types import type_name, type_of

from .class_names import names_and_colours
from .files import check_pairs, files_left_out, list_samples
from .image_files import ImagePipeline, check_decoders
from .image_loading import value_fault
from .labels import MaskLabels, check_labels
from .mask_files import check_wide_labels


def leaf_datasets(dataset: Mapping[str, Any], key: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Unpacks wrappers such as RepeatDataset and ConcatDataset.

    Args:
        dataset (Mapping): Config of a data set.
        key (str): Its dotted key.

    Yields:
        tuple[str, Mapping]: Dotted key and config of each data set that is not a wrapper.
    """
    if 'dataset' in dataset:
        yield from leaf_datasets(dataset['dataset'], f'{key}.dataset')
    elif 'datasets' in dataset:
        for index, child in enumerate(dataset['datasets']):
            yield from leaf_datasets(child, f'{key}.datasets.{index}')
    else:
        yield key, dataset


def check_dataset(
    cfg: Mapping[str, Any],
    key: str,
    num_classes: int | None,
    ignore_indices: Collection[int],
    read_masks: bool = True,
) -> MaskLabels | None:
    """Checks a data set on the local disk; any other has nothing to check here.

    The labels are those of a sample, see :func:`segheads.data.labels.check_labels`.

    Args:
        cfg (Mapping): Config of a data set that is not a wrapper.
        key (str): Its dotted key, for the sentences.
        num_classes (int | None): Number of classes that the head tells apart, None if unknown.
        ignore_indices (Collection[int]): Labels allowed besides the classes.
        read_masks (bool): Whether to read masks and look at their labels. Default: True.

    Returns:
        MaskLabels | None: What was read of the masks, None if there are none on a local disk.

    Raises:
        UserMistake: If a folder is missing or empty, if images have no mask, if the data set has
            more classes than the head, if masks hold other labels than allowed, or if a transform
            damages the values of images.
    """
    dataset = open_dataset(cfg, key)
    if dataset is None:
        return None
    check_class_count(dataset, key, num_classes)
    check_wide_labels(dataset, key, ignore_indices)
    check_decoders(cfg.get('pipeline', ()))
    if not dataset.data_prefix.get('img_path'):
        return None
    list_samples(dataset, key)
    if read_masks:
        for note in files_left_out(dataset):
            tell(f'{key}: {note}.')
    load_annotations = find_transform(cfg.get('pipeline', ()), 'LoadAnnotations')
    if load_annotations is None or not dataset.data_prefix.get('seg_map_path'):
        return None
    check_pairs(dataset, key)
    masks = MaskLabels(dataset, load_annotations, key, ignore_indices)
    if read_masks:
        check_labels(masks)
        paths = [sample['img_path'] for sample in dataset.data_list]
        fault = value_fault(ImagePipeline(cfg['pipeline']), cfg['pipeline'], paths, key)
        if fault:
            raise UserMistake(fault)
    return masks


def open_dataset(cfg: Mapping[str, Any], key: str) -> BaseSegDataset | None:
    """Builds a data set without listing its files, after a look at its folders.

    Args:
        cfg (Mapping): Config of a data set that is not a wrapper.
        key (str): Its dotted key, for the sentences.

    Returns:
        BaseSegDataset | None: The data set without its pipeline, or None if it is on no local disk
        or is no data set of MMSegmentation's kind.

    Raises:
        UserMistake: If a folder is missing, if names or colours of the classes are none, or if the
            data set refuses its settings.
    """
    if cfg.get('backend_args') and cfg['backend_args'].get('backend') != 'local':
        return None
    # Before building it: some data sets of MMSegmentation assert that the folder is there.
    prefixes = cfg.get('data_prefix') or {}
    for name in ('img_path', 'seg_map_path'):
        if prefixes.get(name):
            _check_folder(os.path.join(cfg.get('data_root') or '', prefixes[name]), name, cfg, key)
    dataset_class = type_of(cfg, DATASETS)
    if not (isinstance(dataset_class, type) and issubclass(dataset_class, BaseSegDataset)):
        return None
    names_and_colours(cfg, key)
    try:
        dataset = DATASETS.build(dict(cfg, pipeline=[], lazy_init=True))
    except (AssertionError, ValueError) as error:
        raise UserMistake(f'{key}: {type_name(cfg)} refuses its settings: {error}') from error
    for name in ('img_path', 'seg_map_path'):
        if dataset.data_prefix.get(name):
            _check_folder(dataset.data_prefix[name], name, cfg, key)
    return dataset


def find_transform(transforms: Any, name: str) -> Mapping[str, Any] | None:
    """Finds a transform in a pipeline, inside of wrappers such as TestTimeAug too.

    Args:
        transforms (Any): The ``pipeline`` of a data set, or a part of it.
        name (str): The class of the transform, which those derived from it have too.

    Returns:
        Mapping[str, Any] | None: Its config, or None if the pipeline has none.
    """
    if isinstance(transforms, Mapping):
        kind = type_of(transforms, TRANSFORMS)
        if any(each.__name__ == name for each in getattr(kind, '__mro__', ())):
            return transforms
        transforms = transforms.get('transforms', ())
    for child in transforms:
        found = find_transform(child, name) if isinstance(child, (Mapping, list, tuple)) else None
        if found is not None:
            return found
    return None


def _check_folder(folder: str, name: str, cfg: Mapping[str, Any], key: str) -> None:
    if '://' in folder or os.path.isdir(folder):
        return
    kind = 'image' if name == 'img_path' else 'mask'
    root = cfg.get('data_root')
    parts = f'data_root={root!r} and data_prefix.{name}' if root else f'data_prefix.{name}'
    relative = '' if os.path.isabs(folder) else f' in {Path.cwd()}'
    raise UserMistake(
        f'the {kind} folder {folder}, from {parts} of {key}, does not exist{relative}; put the '
        f'data there, or say where it is with `--cfg-options {key}.data_root=FOLDER`'
    )


def check_class_count(dataset: BaseSegDataset, key: str, num_classes: int | None) -> None:
    """Checks that the head has a class for each of the data set's.

    Args:
        dataset (BaseSegDataset): The data set.
        key (str): Its dotted key, for the sentence.
        num_classes (int | None): Number of classes that the head tells apart, None if unknown.

    Raises:
        UserMistake: If the data set has more classes than the head.
    """
    classes = dataset.metainfo.get('classes')
    if classes is None or num_classes is None or len(classes) == num_classes:
        return
    sentence = f'{key} has {len(classes)} classes, but model.decode_head tells {num_classes} apart'
    if len(classes) > num_classes:
        raise UserMistake(
            f'{sentence}; set its num_classes to {len(classes)}, in auxiliary heads too'
        )
    tell(f'{sentence}.')
