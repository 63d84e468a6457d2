"""Connected regions as GeoJSON, or as the annotations of COCO."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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


def merge_coco(files: Iterable[Path]) -> dict[str, Any]:
    """Puts the annotations of single images together.

    Args:
        files (Iterable[Path]): Files with what :func:`coco` returns, of the same classes.

    Returns:
        dict: The same for all images, with ids of their own.
    """
    merged: dict[str, Any] = dict(images=[], annotations=[], categories=[])
    for number, file in enumerate(files, start=1):
        part = json.loads(file.read_text(encoding='utf-8'))
        merged['images'] += [dict(image, id=number) for image in part['images']]
        for annotation in part['annotations']:
            ids = dict(id=len(merged['annotations']) + 1, image_id=number)
            merged['annotations'].append({**annotation, **ids})
        merged['categories'] = part['categories']
    return merged


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
