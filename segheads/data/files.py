"""The files of a data set on a local disk: what is there, what is missing, what is left out."""

import os
from pathlib import Path, PurePath

from mmseg.datasets import BaseSegDataset

from segheads.mistakes import UserMistake

from .listing import IMAGE_SUFFIXES, is_hidden, read_names

SEPARATORS = (',', ';', '\t', ' ')


def list_samples(dataset: BaseSegDataset, key: str) -> None:
    """Lets a data set list its images; ``dataset.data_list`` holds them afterwards.

    Args:
        dataset (BaseSegDataset): A data set from :func:`segheads.data.checks.open_dataset`.
        key (str): Its dotted key, for the sentences.

    Raises:
        UserMistake: If its list of images is missing, if there are none, or if images that the
            list names are missing.
    """
    if dataset.ann_file and not os.path.exists(dataset.ann_file):
        raise UserMistake(f'{key}.ann_file: the list of images {dataset.ann_file} does not exist')
    # Serialising fails for no images at all, and is of no use here.
    dataset.serialize_data = False
    dataset.full_init()
    if len(dataset) == 0:
        raise UserMistake(_no_images(dataset, key))
    folder = dataset.data_prefix.get('img_path')
    if folder and '://' not in folder and os.path.isfile(dataset.ann_file or ''):
        _check_listed(dataset, key)


def check_pairs(dataset: BaseSegDataset, key: str) -> None:
    """Checks that each image of a data set has a mask.

    Args:
        dataset (BaseSegDataset): A data set with a mask folder, its files listed.
        key (str): Its dotted key, for the sentence.

    Raises:
        UserMistake: If masks are missing.
    """
    masks = files_below(dataset.data_prefix['seg_map_path'])
    expected = [sample['seg_map_path'] for sample in dataset.data_list]
    missing = [path for path in expected if os.path.normpath(path) not in masks]
    if missing:
        raise UserMistake(
            f'{key}: {len(missing)} of {len(dataset)} images have no mask, for example '
            f'{missing[0]} ({_found(masks)}); add the masks, or set '
            f'img_suffix={dataset.img_suffix!r} and seg_map_suffix={dataset.seg_map_suffix!r} of '
            f'{key} to what the files have'
        )


def files_left_out(dataset: BaseSegDataset) -> list[str]:
    """Tells which files in the image folder look like images and are not listed.

    Args:
        dataset (BaseSegDataset): A data set with an image folder, its files listed.

    Returns:
        list[str]: Sentences; none where a list of images leaves the others out on purpose.
    """
    folder = dataset.data_prefix['img_path']
    if dataset.ann_file or '://' in folder:
        return []
    known = {
        os.path.normpath(sample[name])
        for sample in dataset.data_list
        for name in ('img_path', 'seg_map_path')
        if name in sample
    }
    masks = os.path.normpath(dataset.data_prefix.get('seg_map_path') or os.devnull)
    hidden, others = [], []
    for path in sorted(files_below(folder) - known):
        # Masks that no image belongs to are told elsewhere.
        if Path(path).is_relative_to(masks):
            continue
        if is_hidden(os.path.relpath(path, folder)):
            hidden += [path] if path.endswith(dataset.img_suffix) else []
        elif _is_image(path, dataset.img_suffix):
            others.append(path)
    notes = []
    if hidden:
        notes.append(f'{len(hidden)} hidden images are left out, for example {hidden[0]}')
    if others:
        notes.append(
            f'{len(others)} images are left out, for example {others[0]}, since they do not end in '
            f'img_suffix={dataset.img_suffix!r}, capitals included; rename or convert them if they '
            'belong to the data'
        )
    return notes


def files_below(folder: str) -> set[str]:
    """Lists the files in a folder and below, as normalised paths.

    One listing instead of one question per file: network drives answer slowly.

    Args:
        folder (str): The folder.

    Returns:
        set[str]: Paths.
    """
    return {
        os.path.normpath(os.path.join(parent, file))
        for parent, _, files in os.walk(folder, followlinks=True)
        for file in files
    }


def _check_listed(dataset: BaseSegDataset, key: str) -> None:
    images = files_below(dataset.data_prefix['img_path'])
    paths = [sample['img_path'] for sample in dataset.data_list]
    # What lies elsewhere, by an absolute name, is asked for one by one.
    missing = [
        path for path in paths if os.path.normpath(path) not in images and not os.path.exists(path)
    ]
    if missing:
        raise UserMistake(
            f'{key}.ann_file: {len(missing)} of the {len(paths)} images that {dataset.ann_file} '
            f'names are not there, for example {missing[0]} ({_found(images)}); '
            f'{_advice_on_list(dataset, paths.index(missing[0]), len(missing))}'
        )


def _advice_on_list(dataset: BaseSegDataset, first: int, count: int) -> str:
    """Says what to do about a list, by what the first of its names that are missing looks like."""
    folder, suffix = dataset.data_prefix['img_path'], dataset.img_suffix
    form = f'a line is the name of an image below {folder}, without {suffix!r}'
    names = read_names(dataset.ann_file, dataset.backend_args)
    if len(names) != len(dataset):  # a part of them was chosen, or the list is of another kind
        return f'correct the list; {form}'
    name = names[first]
    for separator in SEPARATORS:
        columns = [column for column in name.split(separator) if column]
        if len(columns) > 1 and (
            any(_is_image(column, suffix) or '/' in column for column in columns)
            or os.path.isfile(os.path.join(folder, columns[0] + suffix))
        ):
            return (
                f'its lines have {len(columns)} columns, such as {name!r}: keep that of the '
                f'images; {form}'
            )
    if '\\' in name and os.sep == '/':
        return f'its lines have backslashes, such as {name!r}: write / instead'
    if count == 1 and first == 0 and len(names) > 1:
        return f'if its first line is a heading, remove it; {form}'
    below = PurePath(name)
    for start in range(1, len(below.parts)):
        shorter = os.path.join(folder, *below.parts[start:])
        if os.path.isfile(shorter) or os.path.isfile(shorter + suffix):
            prefix = os.path.join(*below.parts[:start])
            return f'remove {prefix + os.sep!r} from the lines: {form}'
    return f'correct the list, or img_suffix; {form}'


def _no_images(dataset: BaseSegDataset, key: str) -> str:
    if dataset.ann_file and os.path.isfile(dataset.ann_file):
        return f'{key}.ann_file: the list of images {dataset.ann_file} is empty'
    folder = dataset.data_prefix['img_path']
    other = next((file for _, _, files in os.walk(folder) for file in sorted(files)), None)
    found = f'its files are such as {other}' if other else 'it is empty'
    return (
        f'{key} finds no image: no file of {folder} ends in {dataset.img_suffix!r} ({found}); put '
        f'the data there, or set `--cfg-options {key}.data_root=FOLDER` or {key}.img_suffix'
    )


def _found(files: set[str]) -> str:
    example = f' such as {os.path.basename(min(files))}' if files else ''
    return f'the folder has {len(files)} files{example}'


def _is_image(path: str, img_suffix: str) -> bool:
    """Whether a file looks like an image of the data set, or of another format."""
    lowered = path.lower()
    if lowered.endswith(img_suffix.lower()):
        return True
    # Names that end in more than a format, such as '_leftImg8bit.png', say what is an image.
    return img_suffix.startswith('.') and Path(lowered).suffix in IMAGE_SUFFIXES
