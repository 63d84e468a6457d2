"""From the classes of a source to those of the data set: renamed, merged, dropped, numbered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from segheads.data.mask_files import LARGEST_LABEL, WIDE_IGNORED_LABEL
from segheads.data.meta import BACKGROUND_COLOUR, distinct_colours
from segheads.mistakes import UserMistake, near_matches

from .records import Labels, Source, SourceClass, class_name
from .source_files import read_text

IGNORED = 255
DROPPED = ('', '~', 'null', 'Null', 'NULL')
# Names in the source that never are classes: what LabelMe calls pixels that shall not count.
NO_CLASSES = ('__ignore__',)


@dataclass(frozen=True)
class ClassTable:
    """The classes of a data set.

    Attributes:
        classes (list[SourceClass]): Name and colour of each, in the order of their ids.
        ids (Mapping[str, int]): The id of each name in the source.
        background (int): What pixels get that nothing covers.
        ignored (int): What pixels get that shall not count.
    """

    classes: list[SourceClass]
    ids: Mapping[str, int]
    background: int
    ignored: int

    def labels(self, smaller_on_top: bool, pen: int) -> Labels:
        """Returns what masks are painted with."""
        dtype = np.uint8 if self.ignored == IGNORED else np.uint16
        return Labels(self.ids, self.background, self.ignored, dtype, smaller_on_top, pen)


def make_table(
    source: Source,
    choice: Mapping[str, str | None] | Sequence[str] | None = None,
    merges: Sequence[str] = (),
    background: str | None = None,
) -> ClassTable:
    """Numbers the classes.

    Args:
        source (Source): The source.
        choice (Mapping | Sequence | None): New names of classes, None for those that are dropped;
            or the names that are kept, in their order. Default: None.
        merges (Sequence[str]): Texts such as ``car,truck=vehicle``. Default: ().
        background (str | None): What pixels are called that nothing covers. Default: None, for
            ignored.

    Returns:
        ClassTable: The classes.

    Raises:
        UserMistake: If a name is not in the source, if nothing is left, or if there is no
            background.
    """
    found = [each.name for each in source.classes]
    new_names: dict[str, str | None] = {name: name for name in found}
    order: Sequence[str] = ()
    if isinstance(choice, Mapping):
        new_names |= {_known(name, found, '--classes'): new for name, new in choice.items()}
    elif choice is not None:
        order = [class_name(name) for name in choice]
        allowed = [*found, *([background] if background else [])]
        kept = {_known(name, allowed, '--classes') for name in order}
        new_names = {name: name if name in kept else None for name in found}
    for merge in merges:
        names, is_merge, new = merge.partition('=')
        if not is_merge or not new.strip() or not names.strip():
            raise UserMistake(f'--merge {merge!r} is not of the form NAME,NAME=NEW')
        for name in names.split(','):
            new_names[_known(class_name(name), found, '--merge')] = class_name(new)
    colors = {}
    for each in source.classes:
        new = new_names[each.name]
        if new is not None:
            colors[new] = colors.get(new) or each.color
    order = [new_names.get(name, name) for name in order]
    colors = {name: colors[name] for name in order if name in colors} if order else colors
    if background is not None:
        background = class_name(background)
        if background not in colors:
            if source.covers_all:
                near = near_matches(background, found)
                raise UserMistake(
                    f'--background {background}: these masks give every pixel one of the classes '
                    f'{", ".join(found[:20])}{near}; rename one of them by --classes'
                )
            colors = {background: BACKGROUND_COLOUR, **colors}
            if background in order:
                colors = {name: colors[name] for name in order}
    if not colors:
        raise UserMistake('no class is left; --classes or --merge drop all that the source has')
    return _number(colors, new_names, background)


def _number(
    colors: Mapping[str, tuple[int, int, int] | None],
    new_names: Mapping[str, str | None],
    background: str | None,
) -> ClassTable:
    if len(colors) > LARGEST_LABEL:
        raise UserMistake(f'{len(colors)} classes are more than masks of 16 bits hold')
    ignored = IGNORED if len(colors) <= IGNORED else WIDE_IGNORED_LABEL
    ids = {name: index for index, name in enumerate(colors)}
    spare = distinct_colours(len(colors))
    classes = [
        SourceClass(name, tuple(color or spare[ids[name]])) for name, color in colors.items()
    ]
    source_ids = {name: ids.get(new, ignored) for name, new in new_names.items()}
    source_ids |= dict.fromkeys(NO_CLASSES, ignored)
    return ClassTable(classes, source_ids, ids.get(background, ignored), ignored)


def read_choice(path: Path) -> dict[str, str | None] | list[str]:
    """Reads the file of ``--classes``.

    Args:
        path (Path): YAML: a mapping of names to new names, none for classes that are dropped; or a
            list of the names that are kept, in their order.

    Returns:
        dict | list: As :func:`make_table` takes it.

    Raises:
        UserMistake: If it is neither.
    """
    try:
        # Every word stays a text: plain YAML has numbers, and `no` for False.
        content = yaml.load(read_text(path), Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserMistake(f'{path} is no YAML: {reason}') from error
    if isinstance(content, list) and all(isinstance(name, str) for name in content) and content:
        return [class_name(name) for name in content]
    if isinstance(content, dict) and content:
        if all(isinstance(text, str) for pair in content.items() for text in pair):
            return {
                class_name(old): None if new in DROPPED else class_name(new)
                for old, new in content.items()
            }
    raise UserMistake(
        f'{path} must hold a line `name: new name` for each class to rename (without a new name it '
        'is ignored), or a list of the names to keep'
    )


def _known(name: str, found: Iterable[str], option: str) -> str:
    if name not in found:
        found = list(found)
        near = near_matches(name, found) or f'; it has {", ".join(found[:20])}'
        raise UserMistake(f'{option}: the source has no class {name!r}{near}')
    return name
