"""Connected regions: their polygons cover exactly their pixels."""

import json

import numpy as np
import pytest
from tiny_run import sentence

from segheads.inference.polygon_files import as_json, coco, geojson, merge_folder
from segheads.inference.regions import find_regions, outline, signed_area


def covered(rings, size):
    """Tells for each pixel whether its centre lies inside: even-odd rule, ray to the right."""
    inside = np.zeros(size, int)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if y1 != y2:
                inside += (y > min(y1, y2)) & (y < max(y1, y2)) & (x < x1)
                assert x1 == x2
    return inside % 2 == 1


@pytest.mark.parametrize('seed', range(8))
def test_noise_is_covered_exactly(seed):
    generator = np.random.default_rng(seed)
    class_map = generator.integers(0, 2 + seed % 3, (23, 31))
    if seed % 2:
        class_map = np.kron(class_map[:8, :10], np.ones((3, 3), int))
    drawn = np.full(class_map.shape, -1)
    for region in find_regions(class_map):
        pixels = covered(region.rings, class_map.shape)
        assert pixels.sum() == region.area and (drawn[pixels] == -1).all()
        drawn[pixels] = region.class_id
        areas = [abs(signed_area(ring)) for ring in region.rings]
        assert areas[0] - sum(areas[1:]) == region.area
    assert np.array_equal(drawn, class_map)


def test_corners_of_simple_shapes():
    assert sorted(map(tuple, outline(np.ones((1, 1), bool))[0])) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    outer, hole = outline(ring)
    assert len(outer) == len(hole) == 4
    assert (hole.min(axis=0) == 1).all() and (hole.max(axis=0) == 2).all()
    assert len(outline(np.array([[1, 0], [1, 1]], bool))[0]) == 6


def test_small_regions_are_left_out():
    class_map = np.zeros((10, 10), int)
    class_map[2, 2], class_map[5:8, 5:8] = 1, 1
    assert [(r.class_id, r.area) for r in find_regions(class_map, 5)] == [(0, 90), (1, 9)]


def test_geojson():
    class_map = np.zeros((6, 8), int)
    class_map[2:4, 3:6] = 1
    found = json.loads(as_json(geojson(find_regions(class_map), ['sky', 'road'])))
    outer, inner = found['features']
    assert outer['properties'] == {'class': 'sky', 'class_id': 0, 'area': 42}
    for feature, rings in ((outer, 2), (inner, 1)):
        assert feature['geometry']['type'] == 'Polygon'
        assert len(feature['geometry']['coordinates']) == rings
        for index, ring in enumerate(feature['geometry']['coordinates']):
            assert ring[0] == ring[-1]
            assert (signed_area(np.array(ring[:-1])) > 0) == (index == 0)
    moved = geojson(find_regions(class_map), ['sky', 'road'], lambda ring: ring * (2, -2))
    ring = np.array(moved['features'][1]['geometry']['coordinates'][0])
    assert ring.min(axis=0).tolist() == [6, -8] and signed_area(ring[:-1]) > 0


def decode(annotation, size):
    if isinstance(annotation['segmentation'], list):
        return covered([np.reshape(annotation['segmentation'][0], (-1, 2))], size)
    counts = annotation['segmentation']['counts']
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    assert annotation['segmentation']['size'] == list(size) and values.size == np.prod(size)
    return values.reshape(size, order='F')


def test_coco(tmp_path):
    class_map = np.kron(np.random.default_rng(0).integers(0, 3, (8, 9)), np.ones((3, 3), int))
    class_map[10, 10] = (class_map[10, 10] + 1) % 3  # a hole in whatever is there
    found = coco(find_regions(class_map), ['a', 'b', 'c'], 'x.png', class_map.shape)
    drawn = np.full(class_map.shape, -1)
    for annotation in found['annotations']:
        pixels = decode(annotation, class_map.shape)
        drawn[pixels] = annotation['category_id']
        rows, columns = np.nonzero(pixels)
        left, top, width, height = annotation['bbox']
        assert (left, top) == (columns.min(), rows.min()) and pixels.sum() == annotation['area']
        assert (left + width, top + height) == (columns.max() + 1, rows.max() + 1)
    assert np.array_equal(drawn, class_map)
    assert any(isinstance(each['segmentation'], dict) for each in found['annotations'])

    folder = tmp_path / 'polygons'
    for name in ('x', 'more/x'):
        (folder / f'{name}.json').parent.mkdir(parents=True, exist_ok=True)
        (folder / f'{name}.json').write_bytes(as_json(found))
    merge_folder(folder)
    merged = json.loads((tmp_path / 'polygons.json').read_text())
    assert [(each['id'], each['file_name']) for each in merged['images']] == [
        (1, 'more/x.png'),
        (2, 'x.png'),
    ]
    ids = [annotation['id'] for annotation in merged['annotations']]
    assert ids == list(range(1, 2 * len(found['annotations']) + 1))
    assert merged['categories'] == found['categories']
    other = coco([], ['other'], 'y.png', (3, 3))
    (folder / 'y.json').write_bytes(as_json(other))
    assert 'other classes' in sentence(merge_folder, folder)


def test_coco_is_read_by_its_own_tools():
    mask = pytest.importorskip('pycocotools.mask')
    class_map = np.zeros((9, 11), int)
    class_map[3:6, 4:8] = 1
    for annotation in coco(find_regions(class_map), ['a', 'b'], 'x.png', (9, 11))['annotations']:
        runs = mask.frPyObjects(annotation['segmentation'], 9, 11)
        runs = mask.merge(runs) if isinstance(runs, list) else runs
        assert np.array_equal(mask.decode(runs), class_map == annotation['category_id'])
