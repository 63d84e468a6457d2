"""Supervisely JSON, as "Supervisely annotation format" in its documentation describes it."""

import base64
import zlib

import numpy as np
import pytest
from annotated_folders import (
    HEIGHT,
    WIDTH,
    X,
    boxed,
    import_here,
    photograph,
    png_in_base64,
    write_json,
)

from segheads.mistakes import UserMistake

CLASSES = [
    dict(title='car', shape='any', color='#FF0080'),
    dict(title='road', shape='polygon', color='#00FF00'),
]


def write_project(folder, *objects, dataset='ds0', name='a.jpg', json_name='a.jpg.json'):
    write_json(dict(classes=CLASSES, tags=[]), folder / 'meta.json')
    photograph(folder / dataset / 'img' / name)
    content = dict(description='', tags=[], size=dict(height=HEIGHT, width=WIDTH), objects=objects)
    write_json(content, folder / dataset / 'ann' / json_name)
    return folder


def figure(kind, exterior, interior=(), title='car'):
    points = dict(exterior=exterior, interior=interior)
    return dict(classTitle=title, geometryType=kind, tags=[], points=points)


def bitmap(pixels, left, top):
    png = base64.b64decode(png_in_base64(pixels))
    data = base64.b64encode(zlib.compress(png)).decode()
    return dict(classTitle='car', geometryType='bitmap', bitmap=dict(data=data, origin=[left, top]))


def test_polygons_have_holes(tmp_path):
    outer, hole = [[1, 1], [7, 1], [7, 6], [1, 6]], [[3, 3], [4, 3], [4, 4], [3, 4]]
    data = import_here(write_project(tmp_path / 'source', figure('polygon', outer, [hole])))
    assert data.said[0].endswith('Supervisely JSON, 1 images, 2 classes')
    assert data.names == ['car', 'road']
    assert data.description['classes'][0]['color'] == [255, 0, 128]
    expected = np.array(boxed(0, 1, 1, 7, 8))
    expected[3:5, 3:5] = X
    assert data.mask() == expected.tolist()


def test_rectangles_lines_and_points(tmp_path):
    folder = write_project(
        tmp_path / 'source',
        figure('rectangle', [[2, 1], [6, 5]]),
        figure('line', [[0, 7], [9, 7]], title='road'),
        figure('point', [[0, 0]], title='road'),
    )
    expected = np.array(boxed(0, 1, 2, 6, 7))
    expected[7], expected[0, 0] = 1, 1
    assert import_here(folder, line_width=1).mask() == expected.tolist()


@pytest.mark.parametrize('form', ['L', 'RGBA', '1'])
def test_bitmaps(tmp_path, form):
    pixels = np.array([[True, False, True], [False, True, True]])
    forms = {
        'L': pixels.astype(np.uint8) * 255,
        'RGBA': np.stack([pixels * 0, pixels * 0, pixels * 0, pixels * 255], -1).astype(np.uint8),
        '1': pixels,
    }
    expected = np.full((HEIGHT, WIDTH), X)
    expected[3:5, 4:7][pixels] = 0
    data = import_here(write_project(tmp_path / 'source', bitmap(forms[form], 4, 3)))
    assert data.mask() == expected.tolist()


def test_datasets_of_a_project_may_be_splits_and_share_names(tmp_path):
    folder = tmp_path / 'source'
    square = figure('rectangle', [[2, 1], [6, 5]])
    write_project(folder, square, dataset='train')
    write_project(folder, square, dataset='val', json_name='a.json')
    data = import_here(folder)
    assert data.splits() == {'train_img_a': 'train', 'val_img_a': 'val'}


def test_mistakes(tmp_path):
    folder = write_project(tmp_path / 'source', figure('polygon', [[1, 1]], title='cars'))
    with pytest.raises(UserMistake, match="its class 'cars' is not in meta.json; did you mean car"):
        import_here(folder)
    write_project(folder, figure('cuboid', [[1, 1]]))
    with pytest.raises(UserMistake, match="a shape is a 'cuboid'"):
        import_here(folder)
    broken = bitmap(np.ones((2, 2), bool), 0, 0)
    broken['bitmap']['data'] = broken['bitmap']['data'][:20]
    write_project(folder, broken)
    with pytest.raises(UserMistake, match='the pixels of a bitmap are damaged'):
        import_here(folder)
