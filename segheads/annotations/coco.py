"""COCO JSON: objects as polygons or run lengths, and panoptic segmentation.

The description is https://cocodataset.org/#format-data. Coordinates are continuous, with 0 at the
edge of the image, and run lengths go down the columns.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segheads.mistakes import UserMistake

from .geometry import check_near, points_of
from .label_masks import LabelMask
from .rasterising import Bitmap, Shape, Shapes
from .records import (
    Annotation,
    Failure,
    Record,
    Source,
    SourceClass,
    abridged,
    add_classes,
    class_name,
    damage,
    listed,
    shortened,
)
from .run_lengths import decode_runs, runs_of_text
from .source_files import SPLITS, SourceFiles, split_of

OBJECTS, PANOPTIC = 'COCO JSON', 'COCO panoptic JSON'
UNCOVERED = 0  # the segment of pixels that belong to none


def is_coco(content: Any) -> bool:
    """Tells whether a JSON file is one of COCO's, whatever it annotates."""
    return isinstance(content, Mapping) and {'images', 'annotations'} <= content.keys()


def is_panoptic(content: Mapping[str, Any]) -> bool:
    """Tells whether one of COCO's files is about panoptic segmentation."""
    first = next(iter(content['annotations'] or ()), None)
    return isinstance(first, Mapping) and 'segments_info' in first


def has_segmentations(content: Mapping[str, Any]) -> bool:
    """Tells whether one of COCO's files is about areas, not about captions or key points."""
    annotations = content['annotations']
    if not isinstance(annotations, list) or not annotations:
        return True
    first = annotations[0]
    return isinstance(first, Mapping) and 'caption' not in first and 'keypoints' not in first


def read_coco(files: SourceFiles, contents: Mapping[Path, Any]) -> Source:
    """Reads COCO's files.

    Args:
        files (SourceFiles): The source.
        contents (Mapping[Path, Any]): What is in each JSON file of COCO's.

    Returns:
        Source: The classes by the order of their ids, and the images.

    Raises:
        UserMistake: If pycocotools is missing, if the categories are no classes, or if two files
            describe the same image.
    """
    areas = {path: content for path, content in contents.items() if has_segmentations(content)}
    contents = areas or contents
    kinds = {is_panoptic(content) for content in contents.values()}
    if len(kinds) > 1:
        names = listed([*map(files.relative, contents)])
        raise UserMistake(
            f'{files.root} holds panoptic and other COCO files, {names}; give the one to import as '
            'SOURCE'
        )
    panoptic = kinds == {True}
    if not panoptic:
        require_pycocotools()
    source = Source(PANOPTIC if panoptic else OBJECTS)
    found_in: dict[Path, str] = {}
    for path, content in contents.items():
        origin = files.relative(path)
        names = _categories(content, origin, source)
        records = _records(path, content, names, files, source)
        for record in records:
            other = found_in.setdefault(record.image, record.origin)
            if other != record.origin:
                raise UserMistake(
                    f'{files.relative(record.image)} is in {other} and in {record.origin}; give '
                    'one of these files as SOURCE'
                )
        source.records += records
    return source


def require_pycocotools() -> None:
    """Says in one sentence that pycocotools is missing.

    Raises:
        UserMistake: If it is not installed.
    """
    try:
        import pycocotools.mask  # noqa: F401
    except ImportError as error:
        raise UserMistake(
            'COCO JSON is read by pycocotools, which is not installed; run '
            '`pip install "segheads[coco]"` (in a clone: `pip install -e ".[coco]"`)'
        ) from error


def _categories(content: Mapping[str, Any], origin: str, source: Source) -> dict[Any, str]:
    """Reads the classes of a file; returns the name of each category id."""
    try:
        categories = sorted(content['categories'], key=lambda each: each['id'])
        names = {each['id']: class_name(each['name']) for each in categories}
        colors = {names[each['id']]: _color(each.get('color')) for each in categories}
    except Exception as error:  # anything may be in the file
        raise UserMistake(f'the categories of {origin} are no classes: {damage(error)}') from error
    if not names:
        raise UserMistake(f'{origin} has no categories, which are the classes')
    repeated = [name for name, count in Counter(names.values()).items() if count > 1]
    if repeated:
        source.notes.append(f'{origin}: categories of one name are one class: {listed(repeated)}')
    add_classes(source.classes, [SourceClass(name, color) for name, color in colors.items()])
    return names


def _records(
    path: Path,
    content: Mapping[str, Any],
    names: Mapping[Any, str],
    files: SourceFiles,
    source: Source,
) -> list[Record]:
    """Reads the images of a file; those that cannot be used become failures."""
    origin = files.relative(path)
    by_image = defaultdict(list)
    try:
        for annotation in content['annotations']:
            by_image[annotation['image_id']].append(annotation)
        images = {image['id']: image for image in content['images']}
    except Exception as error:
        raise UserMistake(f'{origin}: {damage(error)}') from error
    split = split_of(origin) or _split_in_name(path)
    records = []
    for image_id, annotations in by_image.items():
        if image_id not in images:
            named = f'an image {shortened(image_id)} without an entry'
            reason = f'{len(annotations)} annotations are of {named}'
            source.failures.append(Failure(origin, reason))
    for image_id, image in images.items():
        what = f'{origin}: image {shortened(image_id)}'
        try:
            file_name = str(image['file_name'])
            what = abridged(file_name)
            file = files.find_image(file_name, path)
            if is_panoptic(content):
                annotation = _panoptic(by_image[image_id], names, path, file)
            else:
                annotation = Shapes([_shape(each, names) for each in by_image[image_id]])
            size = image.get('height'), image.get('width')
            size = None if None in size else (int(size[0]), int(size[1]))
            name = files.relative(file)
            records.append(Record(file, name, annotation, origin, split or split_of(name), size))
        except Exception as error:
            source.failures.append(Failure(what, damage(error)))
    return records


def _shape(annotation: Mapping[str, Any], names: Mapping[Any, str]) -> Shape:
    category = annotation['category_id']
    if category not in names:
        raise UserMistake(f'its category_id {shortened(category)} is not among the categories')
    segmentation = annotation.get('segmentation')
    if not segmentation:
        raise UserMistake(
            f'annotation {shortened(annotation.get("id"))} has no segmentation, only a box'
        )
    # Crowds are large and often last in the file; what is single lies over them.
    layer = -1 if annotation.get('iscrowd') else 0
    if isinstance(segmentation, list):
        polygons = [points_of(np.reshape(polygon, (-1, 2))) for polygon in segmentation]
        decode = partial(_decode_polygons, [each for each in polygons if len(each) > 2])
    else:
        decode = partial(_decode_counts, segmentation['size'], segmentation['counts'])
    return Bitmap(label=names[category], layer=layer, decode=decode)


def _decode_polygons(polygons: list[np.ndarray], height: int, width: int) -> np.ndarray:
    """Fills polygons as COCO's own tools do."""
    from pycocotools import mask as coco_mask

    mask = np.zeros((height, width), bool)
    if polygons:
        for points in polygons:
            check_near(points, height, width)
        flat = [points.ravel().tolist() for points in polygons]
        merged = coco_mask.merge(coco_mask.frPyObjects(flat, height, width))
        mask = _decode_counts(merged['size'], merged['counts'], height, width)
    return mask


def _decode_counts(size: Any, counts: Any, height: int, width: int) -> np.ndarray:
    """Decodes run lengths, as a list or as COCO's text."""
    if list(size) != [height, width]:
        raise UserMistake(f'run lengths of the size {shortened(size)}, not of {height}x{width}')
    runs = runs_of_text(counts) if isinstance(counts, (str, bytes)) else counts
    return decode_runs(runs, width, height).T


def _panoptic(
    annotations: list[Mapping[str, Any]], names: Mapping[Any, str], path: Path, image: Path
) -> Annotation:
    """Reads the segments of an image, whose ids are the colours of a PNG."""
    if len(annotations) != 1:
        raise UserMistake(f'it has {len(annotations)} annotations, not one')
    (annotation,) = annotations
    folders = path.parent / path.stem, path.parent
    candidates = [folder / str(annotation['file_name']) for folder in folders]
    mask = next((file for file in candidates if file.is_file() and file != image), None)
    if mask is None:
        raise UserMistake(f'its segments {annotation["file_name"]} are not in {folders[0]}')
    segments: dict[int, str | None] = {UNCOVERED: None}
    for segment in annotation['segments_info']:
        if segment['category_id'] not in names:
            category = shortened(segment['category_id'])
            raise UserMistake(f'its category_id {category} is not among the categories')
        segments[int(segment['id'])] = names[segment['category_id']]
    # The id is red + 256 green + 65536 blue, and colours are compared as 65536 red + ... + blue.
    colors = {
        (value & 0xFF) << 16 | value & 0xFF00 | value >> 16: name
        for value, name in segments.items()
    }
    return LabelMask(mask, colors, is_color=True, uncovered=frozenset([UNCOVERED]))


def _color(value: Any) -> tuple[int, int, int] | None:
    is_color = isinstance(value, list) and len(value) == 3
    if is_color and all(isinstance(channel, int) and 0 <= channel < 256 for channel in value):
        return tuple(value)
    return None


def _split_in_name(path: Path) -> str | None:
    """Finds a split in names such as instances_train2017.json."""
    words = path.stem.lower().replace('-', '_').replace('.', '_').split('_')
    return next((SPLITS[w] for word in words if (w := word.rstrip('0123456789')) in SPLITS), None)
