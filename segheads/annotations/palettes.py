"""Files that say which colour, or which value, stands for which class."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from segheads.mistakes import UserMistake

from .records import Color, SourceClass, class_name, hex_color, shortened
from .source_files import SourceFiles, read_json, read_text

# As CVAT, CamVid's and other data sets, and tools of their kind call them.
PALETTES = ('labelmap.txt', 'class_dict.csv', 'palette.json', 'palette.csv', 'palette.txt')
NAMES = ('classes.txt', 'class_names.txt', 'labels.txt')


def find_palette(files: SourceFiles, given: Path | None) -> list[SourceClass] | None:
    """Reads the palette file of a source.

    Args:
        files (SourceFiles): The source.
        given (Path | None): The file, if the user named one.

    Returns:
        list[SourceClass] | None: The classes with their colours; None if there is no file.

    Raises:
        UserMistake: If it is no palette.
    """
    found = [given] if given else files.called(*PALETTES)
    return read_palette(found[0]) if found else None


def find_names(files: SourceFiles) -> list[str] | None:
    """Reads a file with the name of a class on each line, in the order of their values."""
    found = files.called(*NAMES)
    if not found:
        return None
    lines = read_text(found[0]).rstrip().splitlines()
    return [class_name(line) for line in lines]


def read_palette(path: Path) -> list[SourceClass]:
    """Reads a palette file.

    Args:
        path (Path): CVAT's ``labelmap.txt`` (``name:red,green,blue:parts:actions``), a table with
            the columns name, r, g, b, or JSON: ``{"name": [red, green, blue]}`` or a list of
            objects with a name and a colour.

    Returns:
        list[SourceClass]: The classes with their colours.

    Raises:
        UserMistake: If it is none of these.
    """
    try:
        if path.suffix.lower() == '.json':
            classes = [_entry(*pair) for pair in _pairs(read_json(path))]
        elif path.suffix.lower() == '.csv':
            classes = list(_rows(read_text(path)))
        else:
            classes = list(_lines(read_text(path)))
    except (UserMistake, ValueError, TypeError, KeyError) as error:
        raise UserMistake(f'{path} is no palette: {error}') from error
    if not classes:
        raise UserMistake(f'{path} is no palette: it has no colour')
    named: dict[Color | None, str] = {}
    for each in classes:
        other = named.setdefault(each.color, each.name)
        if other != each.name:
            raise UserMistake(f'{path} gives {other!r} and {each.name!r} the same colour')
    return classes


def _lines(text: str) -> Iterator[SourceClass]:
    for line in text.splitlines():
        if line.strip() and not line.startswith('#'):
            name, _, rest = line.partition(':')
            yield _entry(name, rest.partition(':')[0].split(','))


def _rows(text: str) -> Iterator[SourceClass]:
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        cells = [cell.strip() for cell in row]
        if len(cells) >= 4 and all(cell.isdecimal() for cell in cells[1:4]):
            yield _entry(cells[0], cells[1:4])


def _pairs(content: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(content, Mapping):
        yield from content.items()
        return
    for entry in content:
        yield entry['name'], entry.get('color', entry.get('colour'))


def _entry(name: Any, color: Any) -> SourceClass:
    return SourceClass(class_name(name), _color(color))


def _color(value: Any) -> Color:
    if isinstance(value, str) and hex_color(value):
        return hex_color(value)
    red, green, blue = (int(channel) for channel in value)
    if not all(0 <= channel < 256 for channel in (red, green, blue)):
        raise ValueError(f'{shortened(value)} is no colour')
    return red, green, blue
