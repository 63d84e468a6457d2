"""Roboflow's semantic masks: ``a_mask.png`` beside ``a.jpg``, values in ``_classes.csv``."""

import csv
from pathlib import Path

from segheads.mistakes import UserMistake

from .label_masks import LabelMask
from .records import Failure, Record, Source, SourceClass, add_classes, class_name
from .source_files import SourceFiles, read_text, split_of

FORMAT = 'Roboflow semantic masks'
CLASSES = '_classes.csv'
MASK_ENDS = ('_mask.png', '_mask.jpg', '_mask.bmp')


def read_roboflow(files: SourceFiles, tables: list[Path]) -> Source:
    """Reads the folders of an export.

    Args:
        files (SourceFiles): The source.
        tables (list[Path]): The ``_classes.csv`` of each folder.

    Returns:
        Source: The classes in the order of their values, and the images.

    Raises:
        UserMistake: If a ``_classes.csv`` is none.
    """
    source = Source(FORMAT, covers_all=True)
    for table in tables:
        names = read_values_of_classes(table, files.relative(table))
        add_classes(source.classes, map(SourceClass, names.values()))
        inside = [image for image in files.images if image.parent == table.parent]
        masks = {image.name: image for image in inside if image.name.lower().endswith(MASK_ENDS)}
        for image in inside:
            if image.name in masks:
                continue
            name = files.relative(image)
            mask = next((masks[n] for e in MASK_ENDS if (n := image.stem + e) in masks), None)
            if mask is None:
                source.failures.append(Failure(name, f'it has no mask {image.stem}{MASK_ENDS[0]}'))
                continue
            annotation = LabelMask(mask, names)
            origin = files.relative(mask)
            source.records.append(Record(image, name, annotation, origin, split_of(name)))
    return source


def read_values_of_classes(path: Path, name: str) -> dict[int, str]:
    """Reads a ``_classes.csv``: a value and the name of its class on each line after the first.

    Args:
        path (Path): The file.
        name (str): What to call it in a sentence.

    Returns:
        dict[int, str]: Name of the class for each value.

    Raises:
        UserMistake: If it is none.
    """
    names: dict[int, str] = {}
    rows = [row for row in csv.reader(read_text(path).splitlines(), skipinitialspace=True) if row]
    for row in rows[1:]:
        if len(row) < 2 or not row[0].strip().isdecimal():
            raise UserMistake(f'{name} is no table of values and classes: it has the line {row}')
        names[int(row[0])] = class_name(','.join(row[1:]))
    if not names:
        raise UserMistake(f'{name} is no table of values and classes: it has no class')
    return names
