"""Tells what a source is, and reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segheads.mistakes import UserMistake, near_matches

from . import (
    binary_masks,
    coco,
    color_masks,
    cvat,
    grey_masks,
    labelme,
    pascal_voc,
    roboflow,
    supervisely,
)
from .mask_pairs import find_pairs
from .mask_survey import survey
from .palettes import find_names, find_palette
from .records import Source, damage
from .source_files import SourceFiles, read_json

FORMATS = ('coco', 'labelme', 'cvat', 'supervisely', 'roboflow', 'voc', 'masks')
MOST_JSON_TO_TRY = 20


@dataclass(frozen=True)
class Folders:
    """What the user says of the source.

    Attributes:
        images (Path | None): The folder of its images. Default: None.
        masks (Path | None): The folder of its masks. Default: None.
        palette (Path | None): Its palette file. Default: None.
    """

    images: Path | None = None
    masks: Path | None = None
    palette: Path | None = None


Reader = Callable[[], Source]


def read_source(files: SourceFiles, folders: Folders, format: str | None = None) -> Source:
    """Reads a source in the format that it has.

    Args:
        files (SourceFiles): The source.
        folders (Folders): What the user says of it.
        format (str | None): One of :data:`FORMATS`. Default: None, which is to recognise it.

    Returns:
        Source: Its classes and images.

    Raises:
        UserMistake: If it has no format known here, or not the one given, or cannot be read.
    """
    if format is not None and format not in FORMATS:
        near = near_matches(format, FORMATS)
        raise UserMistake(f'--format {format} is not one of {", ".join(FORMATS)}{near}')
    for name, find in _FINDERS.items():
        if format in (None, name):
            reader = find(files, folders)
            if reader is not None:
                return _read(reader, files)
    expected = f'is not of the format {format}' if format else 'is of no format known here'
    raise UserMistake(
        f'{files.root if len(files.files) > 1 else files.files[0]} {expected}: it holds '
        f'{len(files.images)} images and {len(files.with_suffix(".json"))} JSON and '
        f'{len(files.with_suffix(".xml"))} XML files; docs/annotations.md says what is '
        'recognised; --images and --masks name folders'
    )


def _read(reader: Reader, files: SourceFiles) -> Source:
    try:
        return reader()
    except UserMistake:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise UserMistake(f'{files.root} cannot be read: {damage(error)}') from error


def _find_supervisely(files: SourceFiles, folders: Folders) -> Reader | None:
    for path in files.called('meta.json'):
        if supervisely.is_meta(_content(path)):
            paths = [other for other in files.with_suffix('.json') if other != path]
            return partial(supervisely.read_supervisely, files, path, paths)
    return None


def _find_roboflow(files: SourceFiles, folders: Folders) -> Reader | None:
    tables = files.called(roboflow.CLASSES)
    return partial(roboflow.read_roboflow, files, tables) if tables else None


def _find_voc(files: SourceFiles, folders: Folders) -> Reader | None:
    found = pascal_voc.mask_folders(files)
    return partial(pascal_voc.read_voc, files, found, folders.palette) if found else None


def _find_cvat(files: SourceFiles, folders: Folders) -> Reader | None:
    paths = [path for path in files.with_suffix('.xml') if cvat.is_cvat(path)]
    return partial(cvat.read_cvat, files, paths) if paths else None


def _find_coco(files: SourceFiles, folders: Folders) -> Reader | None:
    contents = {}
    for index, path in enumerate(files.with_suffix('.json')):
        if index == MOST_JSON_TO_TRY and not contents:
            return None
        content = _content(path)
        if coco.is_coco(content):
            contents[path] = content
        elif labelme.is_labelme(content) and not contents:
            return None
    return partial(coco.read_coco, files, contents) if contents else None


def _find_labelme(files: SourceFiles, folders: Folders) -> Reader | None:
    paths = files.with_suffix('.json')
    if any(labelme.is_labelme(_content(path)) for path in paths[:MOST_JSON_TO_TRY]):
        return partial(labelme.read_labelme, files, paths)
    return None


def _find_masks(files: SourceFiles, folders: Folders) -> Reader | None:
    pairs = find_pairs(files, folders.images, folders.masks)
    return partial(_read_masks, files, folders, pairs) if pairs.pairs else None


def _read_masks(files: SourceFiles, folders: Folders, pairs) -> Source:
    if pairs.by_class:
        return binary_masks.read_binary_masks(files, pairs)
    palette = find_palette(files, folders.palette)
    masks = [pair.masks[None] for pair in pairs.pairs if None in pair.masks]
    if palette:
        return color_masks.read_color_masks(files, pairs, palette, ())
    found = survey(files, masks)
    if found.is_color:
        return color_masks.read_color_masks(files, pairs, None, found.values)
    return grey_masks.read_grey_masks(files, pairs, found, find_names(files))


def _content(path: Path) -> object:
    """Returns what is in a JSON file; None if it cannot be read, which its reader tells."""
    try:
        return read_json(path)
    except UserMistake:
        return None


# What is told by a file of one name comes first; masks in any folders come last.
_FINDERS = {
    'supervisely': _find_supervisely,
    'roboflow': _find_roboflow,
    'voc': _find_voc,
    'cvat': _find_cvat,
    'coco': _find_coco,
    'labelme': _find_labelme,
    'masks': _find_masks,
}
