"""What every reader of a format returns: classes, and a record for each image."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from segheads.mistakes import UserMistake

Color = tuple[int, int, int]


class SourceClass(NamedTuple):
    """A class as the source names it.

    Attributes:
        name (str): Its name.
        color (tuple[int, int, int] | None): Its colour, if the source has one. Default: None.
    """

    name: str
    color: Color | None = None


@dataclass(frozen=True)
class Labels:
    """What class maps are painted with.

    Attributes:
        ids (Mapping[str, int]): The class id of each name in the source; names that are dropped
            have the id of ignored pixels.
        background (int): What pixels get that nothing covers.
        ignored (int): What pixels get that shall not count.
        dtype (type): Type of the class map.
        smaller_on_top (bool): Whether small shapes lie over large ones, whatever their order.
        pen (int): Width of lines and points in pixels.
    """

    ids: Mapping[str, int]
    background: int
    ignored: int
    dtype: type
    smaller_on_top: bool
    pen: int


class Annotation(Protocol):
    """What a source says about one image."""

    def size(self) -> tuple[int, int] | None:
        """Returns height and width if it has any, as a mask file does."""

    def paint(self, height: int, width: int, labels: Labels) -> np.ndarray:
        """Returns the class map, (height, width).

        Raises:
            UserMistake: If it cannot be painted.
        """


@dataclass(frozen=True)
class EmbeddedImage:
    """An image that an annotation file contains.

    Attributes:
        name (str): Its file name.
        read (Callable): Returns the content of the file.
    """

    name: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Record:
    """An image and its annotation.

    Attributes:
        image (Path | EmbeddedImage): The image.
        name (str): Path of the image in the source, in the form of POSIX: what the split is drawn
            by, and what the name in the data set is made of.
        annotation (Annotation): What is to be painted.
        origin (str): Path of the annotation file in the source.
        split (str | None): 'train', 'val' or 'test', if the source says it.
        size (tuple[int, int] | None): Height and width that the annotation was made for.
    """

    image: Path | EmbeddedImage
    name: str
    annotation: Annotation
    origin: str
    split: str | None = None
    size: tuple[int, int] | None = None


class Failure(NamedTuple):
    """What could not be converted.

    Attributes:
        what (str): The file.
        reason (str): Why.
    """

    what: str
    reason: str


@dataclass
class Source:
    """What a reader found.

    Attributes:
        format (str): Name of the format.
        classes (list[SourceClass]): The classes, in the order of their ids.
        records (list[Record]): The images with their annotations.
        failures (list[Failure]): What could not be read.
        notes (list[str]): What was left out or decided, for the user to know.
        covers_all (bool): Whether annotations give every pixel a class, so that there is no
            background besides them. Default: False.
    """

    format: str
    classes: list[SourceClass] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    covers_all: bool = False


def class_name(value: Any) -> str:
    """Reads the name of a class.

    Args:
        value (Any): What the annotation has for it.

    Returns:
        str: The name without spaces around it; numbers become text.

    Raises:
        UserMistake: If it is no name.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UserMistake(f'a class is called {shortened(value)}, but names are texts')
    name = ' '.join(value.split())
    if not name:
        raise UserMistake('a class has no name')
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserMistake(f'the class {name!r} has characters that cannot be written') from error
    return name


def hex_color(text: Any) -> Color | None:
    """Reads a colour such as #ff0080; None if it is none."""
    try:
        red, green, blue = bytes.fromhex(str(text).removeprefix('#'))
    except ValueError:
        return None
    return red, green, blue


def add_classes(classes: list[SourceClass], more: Iterable[SourceClass]) -> None:
    """Adds classes that are not there yet, by their names."""
    known = {each.name for each in classes}
    for each in more:
        if each.name not in known:
            known.add(each.name)
            classes.append(each)


def damage(error: Exception) -> str:
    """Says in short what an error means for an annotation that may hold anything."""
    if isinstance(error, UserMistake):
        return abridged(str(error))
    if isinstance(error, OSError):
        return f'it cannot be read ({error.strerror or error})'
    if isinstance(error, KeyError):
        return f'it is not of its format: {shortened(error.args[0])} is missing'
    if isinstance(error, RecursionError):
        return 'it is not of its format: it is nested too deeply'
    first = (str(error).splitlines() or [''])[0]
    return f'it is not of its format ({type(error).__name__}: {first[:120]})'


def shortened(value: Any) -> str:
    """Writes any value in at most 60 characters."""
    try:
        text = ' '.join(repr(value).split())
    except RecursionError:
        text = type(value).__name__
    return abridged(text, 60)


def abridged(text: str, limit: int = 500) -> str:
    """Cuts a text that an annotation may have made far too long."""
    return text if len(text) <= limit else f'{text[: limit - 3]}...'


def listed(values: Sequence[Any], limit: int = 5) -> str:
    """Writes the first values of a list, and how many there are besides."""
    text = ', '.join(map(str, values[:limit]))
    return text + (f' and {len(values) - limit} more' if len(values) > limit else '')
