"""Rules for the names and the colours of classes, in configs and in the notes of checkpoints."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import list_from_file
from mmseg.registry import DATASETS

from segheads.mistakes import UserMistake, near_matches
from segheads.registered_types import type_name, type_of

SEQUENCES = (list, tuple, np.ndarray)
BYTE_ORDER_MARK = '\ufeff'


def names_fault(names: Any) -> str | None:
    """Says what is wrong with the names of classes.

    Args:
        names (Any): What a config or a checkpoint has for them.

    Returns:
        str | None: What is wrong, to follow the words that say where; None if they are right.
    """
    if isinstance(names, str):
        return (
            f'is the text {names!r}, each letter of which would be a class; write a list of names, '
            f'for one class with a comma: ({names!r},)'
        )
    if not isinstance(names, SEQUENCES):
        return f'is {names!r}, but must be a list of names'
    if len(names) == 0:
        return 'is empty; name the classes'
    for number, name in enumerate(names):
        if not isinstance(name, str):
            return f'has {name!r} for class {number}, but names are texts'
        if not name.strip():
            return f'has no name for class {number}; remove blank lines and empty names'
        if name.startswith(BYTE_ORDER_MARK):
            return 'begins with a byte-order mark; save the file as UTF-8 without one'
    return None


def colours_fault(colours: Any) -> str | None:
    """Says what is wrong with the colours of classes, whatever their number.

    Args:
        colours (Any): What a config or a checkpoint has for them.

    Returns:
        str | None: What is wrong, to follow the words that say where; None if they are right.
    """
    if not isinstance(colours, SEQUENCES):
        return f'is {colours!r}, but must be a list of colours, each [red, green, blue]'
    for colour in colours:
        if not (isinstance(colour, SEQUENCES) and len(colour) == 3 and all(map(_is_byte, colour))):
            return f'has {colour!r}, but a colour is [red, green, blue], each from 0 to 255'
    return None


def names_and_colours(
    dataset: Mapping[str, Any], key: str
) -> tuple[Sequence[str] | None, Sequence[Sequence[int]] | None]:
    """Finds what the classes of a data set are called and how they are drawn, and checks it.

    Args:
        dataset (Mapping): Config of a data set that is not a wrapper.
        key (str): Its dotted key, for the sentences.

    Returns:
        tuple: The names and the colours, None for what neither the config nor the class has. Where
        the config has only names, those of the class keep their colours.

    Raises:
        UserMistake: If ``metainfo`` of the config, or ``METAINFO`` of the class, holds no names or
            no colours in their place, if their numbers differ, or if the data set has no masks
            for one of the names.
    """
    own = dataset.get('metainfo') or {}
    if not isinstance(own, Mapping):
        raise UserMistake(f'{key}.metainfo is {own!r}, but must be dict(classes=..., palette=...)')
    of_class = getattr(type_of(dataset, DATASETS), 'METAINFO', {})
    where_names, names = _choose('classes', own, of_class, dataset, key)
    where_colours, colours = _choose('palette', own, of_class, dataset, key)
    _require(where_names, names, names_fault)
    _require(where_colours, colours, colours_fault)
    if names is None:
        return None, colours
    known = of_class.get('classes')
    is_selection = known is not None and list(known) != list(names)
    if is_selection:
        _check_selection(where_names, names, known, dataset)
    if colours is None or len(colours) in (0, len(names)):
        return names, colours
    # The data set takes the colours of its own classes out of a list for all of them.
    if not (is_selection and len(colours) == len(known)):
        raise UserMistake(
            f'{where_colours} has {len(colours)} colours, but there are {len(names)} classes; give '
            'one for each class, or leave palette out for colours that are told apart well'
        )
    of_name = dict(zip(known, colours, strict=True))
    return names, [of_name[name] for name in names]


def _choose(
    entry: str,
    own: Mapping[str, Any],
    of_class: Mapping[str, Any],
    dataset: Mapping[str, Any],
    key: str,
) -> tuple[str, Any]:
    """Takes an entry where MMEngine takes it; also returns the words that say where that is."""
    if entry not in own:
        where = f'METAINFO[{entry!r}] of {type_name(dataset)}'
        return where, of_class.get(entry)
    where, value = f'{key}.metainfo.{entry}', own[entry]
    if value is None:
        raise UserMistake(f'{where} is None; leave it out, or give a list')
    # MMEngine takes a text for the name of a file with an entry per line, if there is such a file.
    if isinstance(value, str) and ('://' in value or Path(value).is_file()):
        return f'{value}, which is {where},', list_from_file(value)
    if isinstance(value, str) and ('/' in value or value.endswith('.txt')):
        raise UserMistake(f'{where} names the file {value}, which does not exist in {Path.cwd()}')
    return where, value


def _check_selection(
    where: str, names: Sequence[str], known: Sequence[str], dataset: Mapping[str, Any]
) -> None:
    """Some of the classes of a data set, in any order: its labels are changed accordingly."""
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserMistake(
            f'{where} has {unknown[0]!r}, which is no class of {type_name(dataset)}'
            f'{near_matches(unknown[0], known)}; for classes of your own use '
            "type='BaseSegDataset'"
        )


def _require(where: str, value: Any, find_fault: Callable[[Any], str | None]) -> None:
    fault = None if value is None else find_fault(value)
    if fault:
        raise UserMistake(f'{where} {fault}')


def _is_byte(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    return bool(is_number and 0 <= value <= 255)
