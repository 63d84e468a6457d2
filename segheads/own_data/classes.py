"""The classes of a folder of masks: as files beside them say, or the values found in them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segheads.annotations.source_files import read_json
from segheads.data.class_names import colours_fault, names_fault
from segheads.data.labels import label_hints, number_ranges
from segheads.data.listing import read_names
from segheads.data.mask_files import decode_mask, label_fault_of_file
from segheads.data.mask_forms import colour_advice, why_unreadable
from segheads.data.meta import complete_meta
from segheads.mistakes import UserMistake

DESCRIPTION, NAMES = 'dataset.json', 'classes.txt'
IGNORED, WIDE_IGNORED = 255, 65535
MASKS_TO_READ = 2000


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes:
        names (list[str]): Name of each class id.
        colours (list[list[int]]): Its colour, [red, green, blue].
        ignore_index (int): What masks hold where nothing is to be learnt.
        source (str): Where this is from, in words.
    """

    names: list[str]
    colours: list[list[int]]
    ignore_index: int
    source: str


def find_classes(folder: Path, masks: Sequence[Path], skip_damaged: bool = False) -> Classes:
    """Finds the classes of a data folder, and checks that its masks hold them.

    Args:
        folder (Path): The folder. ``dataset.json`` as `segheads import` writes it counts most, then
            ``classes.txt`` with a name per line, then what is in the masks.
        masks (Sequence[Path]): Its masks, of which up to 2000 are read, evenly spaced.
        skip_damaged (bool): Whether to go on without masks that cannot be read. Default: False.

    Returns:
        Classes: The classes.

    Raises:
        UserMistake: If one of these files is damaged, if masks cannot be read or hold other values
            than class ids, or if there is nothing to tell apart.
    """
    found = _values(masks, skip_damaged)
    if not found:
        raise UserMistake(f'no mask of {folder} can be read')
    if (folder / DESCRIPTION).is_file():
        classes = _described(folder / DESCRIPTION)
    elif (folder / NAMES).is_file():
        classes = _listed(folder / NAMES)
    else:
        return _from_values(found, folder)
    count = len(classes.names)
    if count < 2:
        raise UserMistake(
            f'{classes.source} of {folder} has one class, {classes.names[0]!r}, and nothing to '
            'tell it from; name what is around it too (`segheads import ... --background NAME`)'
        )
    outside = sorted(set(found) - set(range(count)) - {classes.ignore_index})
    if outside:
        hints = label_hints(set(found), outside, count, False, {classes.ignore_index})
        raise UserMistake(
            f'{found[outside[0]]} holds {number_ranges(outside)}, but {classes.source} has '
            f'{count} classes, 0 to {count - 1}, and {classes.ignore_index} for ignored pixels'
            f'{"".join(f"; {hint}" for hint in hints)}'
        )
    return classes


def _described(path: Path) -> Classes:
    try:
        content = read_json(path)
    except UserMistake as mistake:
        raise UserMistake(f'{path}: {mistake}') from mistake
    entries = content.get('classes') if isinstance(content, dict) else None
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise UserMistake(f'{path} has no list of classes, as `segheads import` writes it')
    entries = sorted(entries, key=lambda each: str(each.get('id')).rjust(9))
    if [each.get('id') for each in entries] != list(range(len(entries))):
        raise UserMistake(f'{path}: the ids of its classes must be 0, 1, 2 and so on')
    names = [each.get('name') for each in entries]
    colours = [each.get('color') for each in entries]
    fault = names_fault(names) or (colours_fault(colours) if None not in colours else None)
    if fault:
        raise UserMistake(f'{path}: the list of classes {fault}')
    ignored = content.get('ignore_index', IGNORED)
    if not _is_label(ignored) or ignored < len(names):
        raise UserMistake(
            f'{path}: ignore_index is {ignored!r}, but must be a whole number above the class ids'
        )
    return _complete(names, None if None in colours else colours, ignored, DESCRIPTION)


def _listed(path: Path) -> Classes:
    names = read_names(str(path))
    fault = names_fault(names)
    if fault:
        raise UserMistake(f'{path} {fault}')
    return _complete(names, None, IGNORED if len(names) <= IGNORED else WIDE_IGNORED, NAMES)


def _from_values(found: dict[int, Path], folder: Path) -> Classes:
    ignored = IGNORED if max(found) <= IGNORED else WIDE_IGNORED
    values = sorted(set(found) - {ignored})
    if not values or values == [0]:
        hint = '; if 255 is the object, `segheads import` writes 1 for it' if values else ''
        raise UserMistake(
            f'the masks of {folder} hold {number_ranges(found)} only, so that there is nothing to '
            f'tell apart{hint}'
        )
    # Ids are dense; what was made to be seen, such as 0, 127 and 254, is not.
    if len(values) * 2 < values[-1] + 1:
        raise UserMistake(
            f'the masks of {folder} hold the values {number_ranges(found)}, such as '
            f'{found[values[-1]]}, which are no class ids 0, 1, 2 and so on; '
            f'`segheads import {folder} --out DATA` makes them, or name all ids in {NAMES}'
        )
    names = [f'class {index}' for index in range(values[-1] + 1)]
    return _complete(names, None, ignored, f'the values in the masks, {number_ranges(found)}')


def _complete(
    names: Sequence[str], colours: Sequence[Sequence[int]] | None, ignored: int, source: str
) -> Classes:
    meta = complete_meta(names, colours, max(len(names), 2))
    count = len(names)
    return Classes(meta['classes'][:count], meta['palette'][:count], ignored, source)


def _values(masks: Sequence[Path], skip_damaged: bool) -> dict[int, Path]:
    """Reads masks, and returns one for each value."""
    count = min(len(masks), MASKS_TO_READ)
    chosen = [masks[index] for index in np.linspace(0, len(masks) - 1, count).astype(int)]
    found: dict[int, Path] = {}
    read = partial(_values_of, skip_damaged=skip_damaged)
    with ThreadPoolExecutor() as pool:
        for path, values in zip(chosen, pool.map(read, chosen), strict=True):
            for value in values:
                found.setdefault(value, path)
    return found


def _values_of(path: Path, skip_damaged: bool) -> list[int]:
    try:
        mask = decode_mask(path.read_bytes())
    except Exception as error:  # decoders raise anything for damaged files
        if skip_damaged:
            return []
        raise UserMistake(
            f'the mask {path} cannot be read ({why_unreadable(error)}); copy it again, or go on '
            'without it by --skip-damaged'
        ) from error
    if mask.ndim != 2:
        raise UserMistake(f'the mask {path} has {mask.shape[2]} channels: {colour_advice(mask)}')
    if fault := label_fault_of_file(mask):
        raise UserMistake(f'the mask {path} {fault}, which are no class ids')
    return np.unique(mask).astype(int).tolist()


def _is_label(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WIDE_IGNORED
