"""Which images the data sets of MMSegmentation list.

MMSegmentation takes every line of a list for a name, blank ones too, and every image below a
folder, those in ``.ipynb_checkpoints`` too. All its data sets list their images by one method of
BaseSegDataset, which is replaced here, so that training, tests and checks see the same images,
whatever builds the data set.
"""

import codecs
import os
from pathlib import Path
from typing import Any

from mmengine import fileio
from mmseg.datasets import BaseSegDataset

from segheads.mistakes import UserMistake

IMAGE_SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
# Folders with copies that archives and network drives add to others; those of Jupyter have a dot.
FOLDERS_OF_COPIES = ('__MACOSX', '@eaDir')

_list_as_mmseg = BaseSegDataset.load_data_list


def list_images(dataset: BaseSegDataset) -> list[dict[str, Any]]:
    """Lists the images of a data set, and the masks that belong to them.

    Args:
        dataset (BaseSegDataset): The data set.

    Returns:
        list[dict]: An entry for each image, as ``BaseSegDataset.load_data_list`` makes them.

    Raises:
        UserMistake: If the list of images is no text.
    """
    if os.path.isfile(dataset.ann_file or ''):
        names = read_names(dataset.ann_file, dataset.backend_args)
        return [_sample(dataset, name) for name in names]
    folder = dataset.data_prefix.get('img_path') or ''
    return [
        sample
        for sample in _list_as_mmseg(dataset)
        if not is_hidden(os.path.relpath(sample['img_path'], folder or '.'))
    ]


def read_names(path: str, backend_args: dict[str, Any] | None = None) -> list[str]:
    """Reads a list of images.

    Args:
        path (str): A text with a name per line, in UTF-8 or in what Windows calls Unicode. Blank
            lines, spaces around the names and a byte-order mark do not count.
        backend_args (dict | None): What reads the file. Default: None.

    Returns:
        list[str]: The names.

    Raises:
        UserMistake: If it is no such text.
    """
    content = fileio.get(path, backend_args=backend_args)
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode('utf-16' if is_wide else 'utf-8-sig')
    except UnicodeDecodeError as error:
        raise UserMistake(
            f'the list of images {path} is no text in UTF-8 ({error.reason} at byte '
            f'{error.start}); save it as one, with a name per line'
        ) from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def is_hidden(path: str) -> bool:
    """Tells whether a file, or a folder above it, is none of the user's own.

    Args:
        path (str): The path below the folder of the images.

    Returns:
        bool: True for names that begin with a dot, and for folders of copies that archives and
        network drives make.
    """
    return any(
        part in FOLDERS_OF_COPIES or (part.startswith('.') and part != '..')
        for part in Path(path).parts
    )


def _sample(dataset: BaseSegDataset, name: str) -> dict[str, Any]:
    """Makes the entry of a name in a list, with or without its suffix."""
    images, masks = (dataset.data_prefix.get(prefix) for prefix in ('img_path', 'seg_map_path'))
    file, stem = f'{name}{dataset.img_suffix}', name
    own_suffix = _suffix_of(name, dataset.img_suffix)
    if own_suffix and not _exists(dataset, file):
        is_the_usual = own_suffix.lower() == dataset.img_suffix.lower()
        if is_the_usual or _exists(dataset, name):
            file, stem = name, name[: -len(own_suffix)]
    sample = dict(img_path=os.path.join(images or '', file))
    if masks is not None:
        sample['seg_map_path'] = os.path.join(masks, f'{stem}{dataset.seg_map_suffix}')
    return dict(
        sample,
        label_map=dataset.label_map,
        reduce_zero_label=dataset.reduce_zero_label,
        seg_fields=[],
    )


def _suffix_of(name: str, img_suffix: str) -> str:
    """Returns what a name ends in if that may be the suffix of its file."""
    if name.lower().endswith(img_suffix.lower()):
        return name[len(name) - len(img_suffix) :]
    suffix = Path(name).suffix
    return suffix if suffix.lower() in IMAGE_SUFFIXES else ''


def _exists(dataset: BaseSegDataset, file: str) -> bool:
    path = os.path.join(dataset.data_prefix.get('img_path') or '', file)
    return fileio.exists(path, backend_args=dataset.backend_args)


BaseSegDataset.load_data_list = list_images
