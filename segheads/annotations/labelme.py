"""LabelMe JSON: a file for each image, with shapes.

Coordinates are continuous. LabelMe's own converter counts the pixels that an outline passes through
and draws lines and points 10 pixels wide; so do the shapes here (``--line-width``).
"""

import base64
import re
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segheads.mistakes import UserMistake, near_matches

from .geometry import ellipse, points_of, rectangle
from .rasterising import Bitmap, Dots, Line, Polygon, Shape, Shapes
from .records import EmbeddedImage, Failure, Record, Source, SourceClass, class_name, damage
from .source_files import SourceFiles, read_json, split_of

FORMAT = 'LabelMe JSON'
# What LabelMe's documentation calls pixels that shall not count.
IGNORED = '__ignore__'
KINDS = ('polygon', 'rectangle', 'circle', 'line', 'linestrip', 'point', 'points', 'mask')
SUFFIXES = {b'\xff\xd8': '.jpg', b'\x89P': '.png', b'BM': '.bmp', b'II': '.tif', b'MM': '.tif'}


def is_labelme(content: Any) -> bool:
    """Tells whether a JSON file is one of LabelMe's."""
    return isinstance(content, Mapping) and 'shapes' in content and 'imagePath' in content


def read_labelme(files: SourceFiles, paths: list[Path]) -> Source:
    """Reads LabelMe's files.

    Args:
        files (SourceFiles): The source.
        paths (list[Path]): Its JSON files.

    Returns:
        Source: The classes in the order of the alphabet, and the images.
    """
    source = Source(FORMAT)
    read = partial(_read, files)
    for result in files.in_parallel(read, paths, 'reading'):
        (source.records if isinstance(result, Record) else source.failures).append(result)
    names = {shape.label for record in source.records for shape in record.annotation.shapes}
    source.classes = [SourceClass(name) for name in sorted(names - {IGNORED}, key=_natural)]
    return source


def _read(files: SourceFiles, path: Path) -> Record | Failure:
    origin = files.relative(path)
    try:
        content = read_json(path)
        if not is_labelme(content):
            raise UserMistake('it is no file of LabelMe: shapes or imagePath are missing')
        shapes = [_shape(shape) for shape in content['shapes']]
        image = _image(content, files, path)
        name = files.relative(image if isinstance(image, Path) else path.with_name(image.name))
        size = content.get('imageHeight'), content.get('imageWidth')
        size = None if None in size else (int(size[0]), int(size[1]))
        return Record(image, name, Shapes(shapes), origin, split_of(name) or split_of(origin), size)
    except Exception as error:  # anything may be in the file
        return Failure(origin, damage(error))


def _shape(shape: Mapping[str, Any]) -> Shape:
    label = class_name(shape['label'])
    kind = shape.get('shape_type') or 'polygon'
    points = points_of(shape['points'])
    if kind == 'polygon':
        return Polygon(label=label, points=points, names_pixels=True)
    if kind in ('line', 'linestrip'):
        return Line(label=label, points=points)
    if kind in ('point', 'points'):
        return Dots(label=label, points=points)
    if kind not in KINDS:
        near = near_matches(str(kind), KINDS)
        raise UserMistake(f'a shape is a {kind!r}, which has no pixels known here{near}')
    if len(points) != 2:
        raise UserMistake(f'a {kind} has {len(points)} points, not 2')
    (x, y), (other_x, other_y) = points
    if kind == 'circle':  # its middle, and a point on it
        radius = np.hypot(other_x - x, other_y - y)
        return Polygon(label=label, points=ellipse(x, y, radius, radius))
    if kind == 'rectangle':
        corners = rectangle(x, y, other_x, other_y)
        return Polygon(label=label, points=corners, names_pixels=True)
    decode = partial(_decode, shape['mask'])
    return Bitmap(label=label, decode=decode, top=int(y), left=int(x))


def _decode(text: str, height: int, width: int) -> np.ndarray:
    try:
        with Image.open(BytesIO(base64.b64decode(text))) as image:
            return np.asarray(image.convert('L')) > 0
    except Exception as error:
        raise UserMistake('the pixels of a mask are damaged') from error


def _image(content: Mapping[str, Any], files: SourceFiles, path: Path) -> Path | EmbeddedImage:
    """Finds the image of a file, beside it under another name, or in it."""
    named = str(content['imagePath'])
    try:
        return files.find_image(named, path)
    except UserMistake:
        if beside := files.image_in(path.parent, path.stem):
            return beside
        if not content.get('imageData'):
            raise
    start = _embedded(path)[:2]
    if start not in SUFFIXES:
        raise UserMistake('the image in it (imageData) is of no known kind')
    return EmbeddedImage(path.stem + SUFFIXES[start], partial(_embedded, path))


def _embedded(path: Path) -> bytes:
    return base64.b64decode(read_json(path)['imageData'])


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """Orders names as people do: 'class 2' before 'class 10'."""
    parts = re.split(r'([0-9]+)', name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
