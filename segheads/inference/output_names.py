"""Names of what is written for each image of a data set: those of the images, told apart."""

import os
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

Key = TypeVar('Key', bound=Hashable)


def output_names(dataset: Any) -> dict[str, str]:
    """Names the outputs of a data set's images.

    Args:
        dataset (Any): A built data set, or a wrapper such as ConcatDataset, with MMEngine's
            ``get_data_info``.

    Returns:
        dict[str, str]: By the path of each image a relative path without suffix, see
        :func:`name_outputs`; empty if the data set does not list them.
    """
    if not hasattr(dataset, 'get_data_info'):
        return {}
    paths = (dataset.get_data_info(index)['img_path'] for index in range(len(dataset)))
    return name_outputs(paths, _image_folders(dataset))


def name_outputs(paths: Iterable[str], folders: Iterable[str]) -> dict[str, str]:
    """Names outputs so that no two are the same, and that they lie as the images do.

    Args:
        paths (Iterable[str]): Paths of the images.
        folders (Iterable[str]): The folders of the images; without any it is what all have in
            common.

    Returns:
        dict[str, str]: By path a relative path without suffix: that of the image, below the folder
        that all folders lie in. Images that differ in the suffix only keep it, and those that
        differ in capitals only get a number. No name leads out of the folder of the outputs.
    """
    images = sorted(set(paths))
    parents = [os.path.abspath(folder) for folder in folders]
    if images and not parents:
        parents = [os.path.dirname(os.path.abspath(image)) for image in images]
    root = os.path.commonpath(parents) if parents else ''
    files = {image: _below(root, image) for image in images}
    return told_apart(files)


def told_apart(files: Mapping[Key, str]) -> dict[Key, str]:
    """Takes the suffixes off paths, and keeps the results different.

    Args:
        files (Mapping): Relative paths, by anything.

    Returns:
        dict: The same without suffix. Those that differ in the suffix only keep it, and those that
        differ in capitals only get a number.
    """
    same_stem = Counter(_stem(file).lower() for file in files.values())
    names: dict[Key, str] = {}
    taken: set[str] = set()
    for key, file in files.items():
        stem = _stem(file)
        name = wanted = stem if same_stem[stem.lower()] == 1 else file
        number = 1
        while name.lower() in taken:
            number += 1
            name = f'{wanted}_{number}'
        taken.add(name.lower())
        names[key] = name
    return names


def _below(root: str, path: str) -> str:
    """Returns a path relative to a folder; one that lies elsewhere with all folders above it."""
    absolute = Path(os.path.abspath(path))
    if absolute.is_relative_to(root):
        return absolute.relative_to(root).as_posix()
    return absolute.relative_to(absolute.anchor).as_posix()


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]


def _image_folders(dataset: Any) -> Iterator[str]:
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner != [None]:
        for each in inner:
            yield from _image_folders(each)
    elif (getattr(dataset, 'data_prefix', None) or {}).get('img_path'):
        yield dataset.data_prefix['img_path']
