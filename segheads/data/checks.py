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
from .image_files import ImagePipeline, check_decoders
from .image_loading import value_fault
from .labels import check_labels
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
) -> None:
    """Checks a data set on the local disk; any other has nothing to check here.

    The labels are those of a sample, see :func:`segheads.data.labels.check_labels`.

    Args:
        cfg (Mapping): Config of a data set that is not a wrapper.
        key (str): Its dotted key, for the sentences.
        num_classes (int | None): Number of classes of the head, None if unknown.
        ignore_indices (Collection[int]): Labels allowed besides the classes.
        read_masks (bool): Whether to read masks and look at their labels. Default: True.

    Raises:
        UserMistake: If a folder is missing or empty, if images have no mask, if the data set has
            more classes than the head, if masks hold other labels than allowed, or if a transform
            damages the values of images.
    """
    dataset = open_dataset(cfg, key)
    if dataset is None:
        return
    check_class_count(dataset, key, num_classes)
    check_wide_labels(dataset, key, ignore_indices)
    check_decoders(cfg.get('pipeline', ()))
    if not dataset.data_prefix.get('img_path'):
        return
    list_samples(dataset, key)
    load_annotations = find_transform(cfg.get('pipeline', ()), 'LoadAnnotations')
    if load_annotations is None or not dataset.data_prefix.get('seg_map_path'):
        return
    _check_pairs(dataset, key)
    if read_masks:
        check_labels(dataset, load_annotations, key, ignore_indices)
        paths = [sample['img_path'] for sample in dataset.data_list]
        fault = value_fault(ImagePipeline(cfg['pipeline']), cfg['pipeline'], paths, key)
        if fault:
            raise UserMistake(fault)


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
    except AssertionError as error:
        raise UserMistake(f'{key}: {type_name(cfg)} refuses its settings: {error}') from error
    for name in ('img_path', 'seg_map_path'):
        if dataset.data_prefix.get(name):
            _check_folder(dataset.data_prefix[name], name, cfg, key)
    return dataset


def list_samples(dataset: BaseSegDataset, key: str) -> None:
    """Lets a data set list its images; ``dataset.data_list`` holds them afterwards.

    Args:
        dataset (BaseSegDataset): A data set from :func:`open_dataset`.
        key (str): Its dotted key, for the sentences.

    Raises:
        UserMistake: If its list of images is missing, or if there are none.
    """
    if dataset.ann_file and not os.path.exists(dataset.ann_file):
        raise UserMistake(f'{key}.ann_file: the list of images {dataset.ann_file} does not exist')
    # Serialising fails for no images at all, and is of no use here.
    dataset.serialize_data = False
    dataset.full_init()
    if len(dataset) == 0:
        raise UserMistake(_no_images(dataset, key))


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


def mask_files(dataset: BaseSegDataset) -> set[str]:
    """Lists the files in the mask folder of a data set, as normalised paths.

    One listing instead of one question per mask: network drives answer slowly.

    Args:
        dataset (BaseSegDataset): A data set with a mask folder.

    Returns:
        set[str]: Paths.
    """
    return {
        os.path.normpath(os.path.join(parent, file))
        for parent, _, files in os.walk(dataset.data_prefix['seg_map_path'], followlinks=True)
        for file in files
    }


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


def _no_images(dataset: BaseSegDataset, key: str) -> str:
    folder = dataset.data_prefix['img_path']
    other = next((file for _, _, files in os.walk(folder) for file in sorted(files)), None)
    found = f'its files are such as {other}' if other else 'it is empty'
    return (
        f'{key} finds no image: no file of {folder} ends in {dataset.img_suffix!r} ({found}); put '
        f'the data there, or set `--cfg-options {key}.data_root=FOLDER` or {key}.img_suffix'
    )


def check_class_count(dataset: BaseSegDataset, key: str, num_classes: int | None) -> None:
    """Checks that the head has a class for each of the data set's.

    Args:
        dataset (BaseSegDataset): The data set.
        key (str): Its dotted key, for the sentence.
        num_classes (int | None): Number of classes of the head, None if unknown.

    Raises:
        UserMistake: If the data set has more classes than the head.
    """
    classes = dataset.metainfo.get('classes')
    if classes is None or num_classes is None or len(classes) == num_classes:
        return
    sentence = (
        f'{key} has {len(classes)} classes, but model.decode_head.num_classes is {num_classes}'
    )
    if len(classes) > num_classes > 1:
        raise UserMistake(f'{sentence}; set it to {len(classes)}, in auxiliary heads too')
    tell(f'{sentence}.')


def _check_pairs(dataset: BaseSegDataset, key: str) -> None:
    masks = mask_files(dataset)
    expected = [sample['seg_map_path'] for sample in dataset.data_list]
    missing = [path for path in expected if os.path.normpath(path) not in masks]
    if missing:
        found = f'the folder has {len(masks)} files'
        if masks:
            found += f' such as {os.path.basename(min(masks))}'
        raise UserMistake(
            f'{key}: {len(missing)} of {len(dataset)} images have no mask, for example '
            f'{missing[0]} ({found}); add the masks, or set img_suffix={dataset.img_suffix!r} '
            f'and seg_map_suffix={dataset.seg_map_suffix!r} of {key} to what the files have'
        )
