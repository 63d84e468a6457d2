"""Connected regions as GeoJSON, or as the annotations of COCO."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segheads.mistakes import UserMistake
from segheads.training.atomic_files import write_atomically

from .regions import Region, signed_area

SUFFIXES = {'geojson': '.geojson', 'coco': '.json'}
Locate = Callable[[np.ndarray], np.ndarray]


def geojson(
    regions: Iterable[Region], classes: Sequence[str], locate: Locate | None = None
) -> dict[str, Any]:
    """Makes a FeatureCollection of regions.

    Args:
        regions (Iterable[Region]): The regions.
        classes (Sequence[str]): Names of the classes.
        locate (Callable | None): Makes longitudes and latitudes (n, 2) of pixels (n, 2).
            Default: None, which leaves pixels, x to the right and y down.

    Returns:
        dict: A Polygon each, with 'class', 'class_id' and 'area' in pixels.
    """
    return dict(
        type='FeatureCollection',
        features=[
            dict(
                type='Feature',
                properties={
                    'class': classes[region.class_id],
                    'class_id': region.class_id,
                    'area': region.area,
                },
                geometry=dict(
                    type='Polygon',
                    coordinates=[
                        _closed(locate(ring) if locate else ring, is_hole=index > 0)
                        for index, ring in enumerate(region.rings)
                    ],
                ),
            )
            for region in regions
        ],
    )


def coco(
    regions: Iterable[Region], classes: Sequence[str], file_name: str, size: tuple[int, int]
) -> dict[str, Any]:
    """Makes annotations of COCO of the regions of one image.

    Args:
        regions (Iterable[Region]): The regions.
        classes (Sequence[str]): Names of the classes; their ids count from 0, as in class maps.
        file_name (str): Name of the image.
        size (tuple[int, int]): Its height and width.

    Returns:
        dict: 'images', 'annotations' and 'categories'. Regions with holes, which polygons of COCO
        cannot have, are run lengths.
    """
    annotations = []
    for number, region in enumerate(regions, start=1):
        corners = region.rings[0]
        left, top = corners.min(axis=0)
        width, height = corners.max(axis=0) - (left, top)
        is_simple = len(region.rings) == 1
        annotations.append(
            dict(
                id=number,
                image_id=1,
                category_id=region.class_id,
                segmentation=[corners.ravel().tolist()] if is_simple else _runs(region, size),
                area=region.area,
                bbox=[float(left), float(top), float(width), float(height)],
                iscrowd=0,
            )
        )
    return dict(
        images=[dict(id=1, file_name=file_name, height=size[0], width=size[1])],
        annotations=annotations,
        categories=[dict(id=index, name=name) for index, name in enumerate(classes)],
    )


def merge_folder(folder: Path) -> None:
    """Puts the annotations of all images below a folder into one file beside it.

    Args:
        folder (Path): A folder with files of what :func:`coco` returns. The file is called like it,
            with the suffix ``.json``.

    Raises:
        UserMistake: If they are not of the same classes.
    """
    merged: dict[str, Any] = dict(images=[], annotations=[], categories=None)
    for number, file in enumerate(sorted(folder.rglob('*.json')), start=1):
        part = json.loads(file.read_text(encoding='utf-8'))
        if merged['categories'] not in (None, part['categories']):
            raise UserMistake(
                f'{file} has other classes than the files before it, and so they cannot become one '
                f'{folder}.json; write the results of different models to different folders'
            )
        merged['categories'] = part['categories']
        name = file.relative_to(folder).with_name(part['images'][0]['file_name']).as_posix()
        merged['images'].append(dict(part['images'][0], id=number, file_name=name))
        for annotation in part['annotations']:
            ids = dict(id=len(merged['annotations']) + 1, image_id=number)
            merged['annotations'].append({**annotation, **ids})
    write_atomically(as_json(merged), folder.with_suffix('.json'))


def as_json(content: Mapping[str, Any]) -> bytes:
    """Writes JSON without blanks, which take a third of such files."""
    return json.dumps(content, separators=(',', ':'), allow_nan=False).encode()


def _closed(ring: np.ndarray, is_hole: bool) -> list[list[float]]:
    """GeoJSON repeats the first corner; outlines run counterclockwise and holes clockwise."""
    if (signed_area(ring) < 0) != is_hole:
        ring = ring[::-1]
    return [*ring.tolist(), ring[0].tolist()]


def _runs(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    """Counts the pixels outside and inside by turns, column after column."""
    inside = np.zeros(size, bool)
    for ring in region.rings:
        inside ^= _fill(ring, size)
    columns = np.concatenate([[False], inside.ravel(order='F'), [False]])
    changes = np.flatnonzero(columns[1:] != columns[:-1])
    counts = np.diff([0, *changes, inside.size])
    return dict(counts=counts[: len(counts) - (counts[-1] == 0)].tolist(), size=list(size))


def _fill(ring: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Finds the pixels inside a ring along pixel edges: left of each lies an odd number of them."""
    crossings = np.zeros((size[0], size[1] + 1), bool)
    for (x, y), (_, other) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
        if y != other:
            low, high = sorted((int(y), int(other)))
            crossings[low:high, int(x)] ^= True
    return np.logical_xor.accumulate(crossings, axis=1)[:, :-1]
