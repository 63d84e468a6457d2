"""CVAT for images 1.1: one XML file for all images.

The description is https://docs.cvat.ai/docs/other/xml_format. Coordinates are continuous; run
lengths of masks go along the rows of the box that contains the mask.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from segheads.mistakes import UserMistake

from .geometry import ellipse, points_of, rectangle, rotated
from .rasterising import Bitmap, Dots, Line, Polygon, Shape, Shapes
from .records import (
    Failure,
    Record,
    Source,
    SourceClass,
    abridged,
    add_classes,
    class_name,
    damage,
    hex_color,
)
from .run_lengths import decode_runs
from .source_files import SPLITS, SourceFiles, split_of

FORMAT = 'CVAT for images XML'
SHAPES = ('polygon', 'polyline', 'points', 'box', 'ellipse', 'mask')
WITHOUT_PIXELS = ('tag', 'skeleton')
BOX_OF_MASK = ('left', 'top', 'width', 'height')


def is_cvat(path: Path) -> bool:
    """Tells whether an XML file is one of CVAT's."""
    try:
        _, root = next(ElementTree.iterparse(path, events=['start']))
    except (ElementTree.ParseError, StopIteration, OSError, ValueError):
        return False
    return root.tag == 'annotations'


def read_cvat(files: SourceFiles, paths: list[Path]) -> Source:
    """Reads CVAT's files.

    Args:
        files (SourceFiles): The source.
        paths (list[Path]): Its XML files.

    Returns:
        Source: The classes in the order of the task's labels, and the images.

    Raises:
        UserMistake: If a file is none of CVAT's for images.
    """
    source = Source(FORMAT)
    left_out = 0
    for path in paths:
        origin = files.relative(path)
        try:
            root = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, OSError, ValueError, LookupError) as error:
            raise UserMistake(f'{origin} is damaged: no XML ({error})') from error
        if root.find('track') is not None:
            raise UserMistake(
                f'{origin} is "CVAT for video", whose tracks are interpolated; export the task as '
                '"CVAT for images 1.1"'
            )
        for label in root.iterfind('meta//labels/label'):
            if label.findtext('type') in WITHOUT_PIXELS or label.find('parent') is not None:
                continue
            name = class_name(label.findtext('name') or '')
            add_classes(source.classes, [SourceClass(name, hex_color(label.findtext('color')))])
        for image in root.iterfind('image'):
            left_out += sum(element.tag in WITHOUT_PIXELS for element in image)
            try:
                source.records.append(_record(image, files, path))
            except Exception as error:  # anything may be in the file
                what = abridged(image.get('name') or '') or f'{origin}: an image without a name'
                source.failures.append(Failure(what, damage(error)))
    used = {shape.label for record in source.records for shape in record.annotation.shapes}
    add_classes(source.classes, map(SourceClass, sorted(used)))
    if left_out:
        source.notes.append(f'{left_out} tags and skeletons are left out: they have no pixels')
    return source


def _record(image: Element, files: SourceFiles, path: Path) -> Record:
    file = files.find_image(image.get('name') or '', path)
    size = None
    if image.get('height') and image.get('width'):
        size = int(image.get('height')), int(image.get('width'))
    subset = (image.get('subset') or '').lower()
    name = files.relative(file)
    split = SPLITS.get(subset) or split_of(name)
    return Record(file, name, Shapes(list(_shapes(image))), files.relative(path), split, size)


def _shapes(image: Element) -> Iterator[Shape]:
    for element in image:
        if element.tag in SHAPES:
            yield _shape(element)
        elif element.tag not in (*WITHOUT_PIXELS, 'attribute'):
            raise UserMistake(f'a shape is a {element.tag!r}, which has no pixels known here')


def _shape(element: Element) -> Shape:
    label, layer = class_name(element.get('label')), int(element.get('z_order') or 0)
    if element.tag == 'mask':
        left, top, width, height = (int(_number(element, key)) for key in BOX_OF_MASK)
        counts = [int(count) for count in element.get('rle').split(',')]
        decode = partial(_decode, counts, height, width)
        return Bitmap(label=label, layer=layer, decode=decode, top=top, left=left)
    if element.tag == 'points':
        return Dots(label=label, layer=layer, points=_points(element))
    if element.tag == 'polyline':
        return Line(label=label, layer=layer, points=_points(element))
    if element.tag == 'polygon':
        return Polygon(label=label, layer=layer, points=_points(element))
    if element.tag == 'box':
        corners = rectangle(*(_number(element, key) for key in ('xtl', 'ytl', 'xbr', 'ybr')))
    else:
        corners = ellipse(*(_number(element, key) for key in ('cx', 'cy', 'rx', 'ry')))
    degrees = float(element.get('rotation') or 0)
    return Polygon(label=label, layer=layer, points=points_of(rotated(corners, degrees)))


def _points(element: Element) -> np.ndarray:
    pairs = [pair.split(',') for pair in element.get('points').split(';') if pair.strip()]
    return points_of([[float(x), float(y)] for x, y in pairs])


def _number(element: Element, key: str) -> float:
    value = element.get(key)
    if value is None:
        raise UserMistake(f'a {element.tag} has no {key}')
    return float(value)


def _decode(
    counts: list[int], box_height: int, box_width: int, height: int, width: int
) -> np.ndarray:
    if not (0 < box_height <= height and 0 < box_width <= width):
        raise UserMistake(f'a mask has {box_width}x{box_height} pixels, more than its image')
    return decode_runs(counts, box_height, box_width)
