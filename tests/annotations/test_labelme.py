"""LabelMe JSON, as labelme 5 writes it."""

import base64

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


def shape(label, points, kind='polygon', **others):
    return dict(label=label, points=points, shape_type=kind, group_id=None, flags={}, **others)


def write_labelme(folder, *shapes, name='a', image=True, **others):
    if image:
        photograph(folder / f'{name}.jpg')
    content = dict(
        version='5.4.1',
        flags={},
        shapes=shapes,
        imagePath=f'{name}.jpg',
        imageData=None,
        imageHeight=HEIGHT,
        imageWidth=WIDTH,
    )
    write_json(content | others, folder / f'{name}.json')
    return folder


def test_polygons_and_rectangles_count_the_pixels_of_their_outline(tmp_path):
    square = [[2, 1], [6, 1], [6, 5], [2, 5]]
    data = import_here(write_labelme(tmp_path / 'source', shape('car', square)))
    assert data.said[0].endswith('LabelMe JSON, 1 images, 1 classes')
    assert data.mask() == boxed(0, 1, 2, 6, 7)
    corners = shape('car', [[6.4, 5.9], [2.0, 1.2]], 'rectangle')
    assert import_here(write_labelme(tmp_path / 'other', corners)).mask() == boxed(0, 1, 2, 6, 7)


def test_a_circle_is_given_by_its_middle_and_a_point_on_it(tmp_path):
    data = import_here(write_labelme(tmp_path / 'source', shape('sun', [[5, 4], [8, 4]], 'circle')))
    rows, columns = np.indices((HEIGHT, WIDTH)) + 0.5
    inside = (rows - 4) ** 2 + (columns - 5) ** 2 < 9
    assert data.mask() == np.where(inside, 0, X).tolist()


@pytest.mark.parametrize('kind', ['line', 'linestrip'])
def test_lines_are_as_wide_as_asked_for(tmp_path, kind):
    folder = write_labelme(tmp_path / 'source', shape('wire', [[0, 4], [9, 4]], kind))
    assert import_here(folder, line_width=1).mask() == boxed(0, 4, 0, 5, 10)
    folder = folder.rename(tmp_path / 'wide')
    assert import_here(folder, line_width=3).mask() == boxed(0, 3, 0, 6, 10)


def test_a_point_is_a_dot(tmp_path):
    folder = write_labelme(tmp_path / 'source', shape('nail', [[4, 3]], 'point'))
    mask = np.array(import_here(folder, line_width=3).mask())
    assert mask[3, 4] == 0 and 1 < (mask == 0).sum() <= 9


def test_masks_lie_where_their_first_point_is(tmp_path):
    pixels = np.array([[True, False], [True, True]])
    corners = [[3, 2], [4, 3]]
    inside = shape('hand', corners, 'mask', mask=png_in_base64(pixels))
    expected = np.full((HEIGHT, WIDTH), X)
    expected[2:4, 3:5][pixels] = 0
    assert import_here(write_labelme(tmp_path / 'a', inside)).mask() == expected.tolist()
    beyond = shape('hand', [[9, 7], [10, 8]], 'mask', mask=png_in_base64(pixels))
    assert import_here(write_labelme(tmp_path / 'b', beyond)).mask() == boxed(0, 7, 9, 8, 10)


def test_classes_are_those_that_occur_in_the_order_of_people(tmp_path):
    corners = [[1, 1], [2, 2]]
    labels = ['part 10', 'part 2', ' car ', '__ignore__']
    shapes = [shape(label, corners, 'rectangle') for label in labels]
    data = import_here(write_labelme(tmp_path / 'source', *shapes))
    assert data.names == ['car', 'part 2', 'part 10']
    assert set(np.ravel(data.mask())) == {X}, 'what is on top shall not count'


def test_an_image_in_the_file_serves_where_there_is_no_other(tmp_path):
    pixels = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    folder = write_labelme(
        tmp_path / 'source',
        shape('car', [[2, 1], [6, 5]], 'rectangle'),
        image=False,
        imageData=png_in_base64(pixels),
    )
    data = import_here(folder)
    content = data.file('a', 'image').read_bytes()
    assert base64.b64encode(content).decode() == png_in_base64(pixels)
    assert data.mask() == boxed(0, 1, 2, 6, 7)


def test_paths_of_windows_and_of_other_folders_are_found(tmp_path):
    folder = tmp_path / 'source'
    photograph(folder / 'photos' / 'a.jpg')
    square = shape('car', [[2, 1], [6, 5]], 'rectangle')
    write_labelme(folder / 'json', square, image=False, imagePath='..\\photos\\a.jpg')
    assert import_here(folder).mask() == boxed(0, 1, 2, 6, 7)
    alone = write_labelme(tmp_path / 'alone', square, image=False, imagePath='C:\\x\\a.jpg')
    data = import_here(alone, images=folder / 'photos')
    assert data.mask() == boxed(0, 1, 2, 6, 7)


def test_what_cannot_be_converted_is_told_and_the_rest_is(tmp_path):
    folder = tmp_path / 'source'
    square = [[2, 1], [6, 1], [6, 5], [2, 5]]
    write_labelme(folder, shape('car', square))
    write_labelme(folder, shape('car', square), name='b', image=False)
    write_labelme(folder, shape('car', square, 'poligon'), name='c')
    write_labelme(folder, shape('car', [[1, float('nan')]]), name='d')
    write_labelme(folder, shape('', square), name='e')
    write_labelme(folder, shape('car', [[1e9, 0], *square]), name='f')
    (folder / 'g.json').write_text('{"shapes": [')
    write_labelme(folder, name='h')
    data = import_here(folder)
    assert data.splits() == {'a': 'train'}
    failures = data.failures()
    assert failures.keys() == {'b.json', 'c.json', 'd.json', 'e.json', 'f.jpg', 'g.json'}
    assert failures['b.json'] == 'its image b.jpg is not in the source; --images names its folder'
    assert "a shape is a 'poligon'" in failures['c.json'] and 'polygon' in failures['c.json']
    assert failures['d.json'] == 'a coordinate is not a finite number'
    assert failures['e.json'] == 'a class has no name'
    assert 'far outside of its 10x8 image' in failures['f.jpg']
    assert failures['g.json'] == 'it is damaged: no JSON (line 1)'
    assert '1 images without a shape are left out, such as h.jpg' in data.report.notes[0]


def test_a_folder_without_any_image_is_a_mistake(tmp_path):
    folder = write_labelme(tmp_path / 'source', shape('car', [[1, 1]], 'point'), image=False)
    with pytest.raises(UserMistake, match='holds no image that can be converted'):
        import_here(folder)
    assert [path.name for path in tmp_path.iterdir()] == ['source']
