"""Supervisely JSON: a project with ``meta.json``, and a file for each image in folders ``ann``.

The description is Supervisely's documentation, "Supervisely annotation format". Coordinates are
those of pixels, both ends of which count; bitmaps are PNG, compressed by zlib, in base64.
"""

import base64
import zlib
from collections.abc import Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segheads.mistakes import UserMistake, near_matches

from .geometry import points_of, rectangle
from .rasterising import Bitmap, Dots, Line, Polygon, Shape, Shapes
from .records import (
    Failure,
    Record,
    Source,
    SourceClass,
    add_classes,
    class_name,
    damage,
    hex_color,
)
from .source_files import SourceFiles, read_json, split_of

FORMAT = 'Supervisely JSON'
KINDS = ('polygon', 'rectangle', 'bitmap', 'line', 'polyline', 'point')
LARGEST_PNG = 2**28  # bytes; a small file may be made to unpack into more than any memory


def is_meta(content: Any) -> bool:
    """Tells whether a JSON file is the ``meta.json`` of a project."""
    classes = content.get('classes') if isinstance(content, Mapping) else None
    return isinstance(classes, list) and all(
        isinstance(c, Mapping) and 'title' in c for c in classes
    )


def read_supervisely(files: SourceFiles, meta: Path, paths: list[Path]) -> Source:
    """Reads a project of Supervisely.

    Args:
        files (SourceFiles): The source.
        meta (Path): Its ``meta.json``.
        paths (list[Path]): Its other JSON files, of which those in folders ``ann`` count.

    Returns:
        Source: The classes in the order of ``meta.json``, and the images.

    Raises:
        UserMistake: If ``meta.json`` is damaged.
    """
    source = Source(FORMAT)
    try:
        for each in read_json(meta)['classes']:
            color = hex_color(each.get('color'))
            add_classes(source.classes, [SourceClass(class_name(each['title']), color)])
    except Exception as error:  # anything may be in the file
        raise UserMistake(f'{files.relative(meta)}: {damage(error)}') from error
    names = {each.name for each in source.classes}
    paths = [path for path in paths if path.parent.name == 'ann']
    read = partial(_read, files, names)
    for result in files.in_parallel(read, paths, 'reading'):
        (source.records if isinstance(result, Record) else source.failures).append(result)
    return source


def _read(files: SourceFiles, names: set[str], path: Path) -> Record | Failure:
    origin = files.relative(path)
    try:
        content = read_json(path)
        shapes = [_shape(shape, names) for shape in content['objects']]
        # A file is named after its image, as photo.jpg.json, in older projects as photo.json.
        folder = path.parent.parent / 'img'
        image = files.image_in(folder, path.stem) or files.find_image(path.stem, path)
        size = content.get('size') or {}
        size = (int(size['height']), int(size['width'])) if size else None
        name = files.relative(image)
        return Record(image, name, Shapes(shapes), origin, split_of(name), size)
    except Exception as error:
        return Failure(origin, damage(error))


def _shape(shape: Mapping[str, Any], names: set[str]) -> Shape:
    label, kind = class_name(shape['classTitle']), shape['geometryType']
    if label not in names:
        near = near_matches(label, names)
        raise UserMistake(f'its class {label!r} is not in meta.json{near}')
    if kind == 'bitmap':
        left, top = shape['bitmap']['origin']
        decode = partial(_decode, shape['bitmap']['data'])
        return Bitmap(label=label, decode=decode, top=int(top), left=int(left))
    if kind not in KINDS:
        near = near_matches(str(kind), KINDS)
        raise UserMistake(f'a shape is a {kind!r}, which has no pixels known here{near}')
    points = points_of(shape['points']['exterior'])
    if kind in ('line', 'polyline'):
        return Line(label=label, points=points)
    if kind == 'point':
        return Dots(label=label, points=points)
    if kind == 'rectangle':
        if len(points) != 2:
            raise UserMistake(f'a rectangle has {len(points)} points, not 2')
        points = rectangle(*points.ravel())
    holes = [points_of(hole) for hole in shape['points'].get('interior') or ()]
    holes = [hole for hole in holes if len(hole)]
    return Polygon(label=label, points=points, holes=holes, names_pixels=True)


def _decode(text: str, height: int, width: int) -> np.ndarray:
    """Decodes a bitmap; what is transparent or black does not belong to it."""
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(text), LARGEST_PNG)
        with Image.open(BytesIO(content)) as image:
            is_transparent = image.mode in ('RGBA', 'LA')
            return np.asarray(image.getchannel('A') if is_transparent else image.convert('L')) > 0
    except Exception as error:
        raise UserMistake('the pixels of a bitmap are damaged') from error
