"""COCO JSON, written as https://cocodataset.org/#format-data describes it."""

import numpy as np
import pytest
from annotated_folders import HEIGHT, WIDTH, X, boxed, import_here, photograph, save, write_json

from segheads.mistakes import UserMistake

coco_mask = pytest.importorskip('pycocotools.mask')

CATEGORIES = [dict(id=7, name='car', color=[0, 0, 142]), dict(id=3, name='road')]
SQUARE = [2, 1, 6, 1, 6, 5, 2, 5]


def annotation(segmentation, category=7, image=1, **others):
    return dict(image_id=image, category_id=category, segmentation=segmentation, **others)


def write_coco(folder, annotations, name='annotations.json', images=('a.png',)):
    for image in images:
        photograph(folder / 'images' / image)
    entries = [
        dict(id=number, file_name=image, height=HEIGHT, width=WIDTH)
        for number, image in enumerate(images, 1)
    ]
    content = dict(images=entries, annotations=annotations, categories=CATEGORIES)
    write_json(content, folder / name)
    return folder


def rows_of(class_map):
    return np.array(class_map)


def test_polygons_cover_what_lies_inside(tmp_path):
    data = import_here(write_coco(tmp_path / 'source', [annotation([SQUARE])]))
    assert data.said[0].endswith('COCO JSON, 1 images, 2 classes')
    assert data.names == ['road', 'car'], 'classes are in the order of their ids'
    assert data.description['classes'][1]['color'] == [0, 0, 142]
    assert data.mask() == boxed(1, 1, 2, 5, 6)


def test_an_object_may_be_several_polygons(tmp_path):
    parts = [[0, 0, 2, 0, 2, 2, 0, 2], [8, 6, 10, 6, 10, 8, 8, 8]]
    data = import_here(write_coco(tmp_path / 'source', [annotation(parts)], 'x.json'))
    mask = rows_of(data.mask())
    assert (mask[:2, :2] == 1).all() and (mask[6:, 8:] == 1).all()
    assert (mask == 1).sum() == 8


def run_lengths(pixels, as_text):
    encoded = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    if as_text:
        return dict(size=encoded['size'], counts=encoded['counts'].decode())
    flat = np.concatenate([[0], pixels.T.ravel().astype(int), [2]])
    return dict(
        size=list(pixels.shape), counts=np.diff([0, *np.flatnonzero(np.diff(flat))]).tolist()
    )


@pytest.mark.parametrize('as_text', [True, False])
def test_run_lengths_are_kept_to_the_pixel(tmp_path, as_text):
    pixels = np.random.default_rng(0).random((HEIGHT, WIDTH)) > 0.5
    pixels[0, 0] = False
    counts = run_lengths(pixels, as_text)
    data = import_here(write_coco(tmp_path / 'source', [annotation(counts, iscrowd=1)]))
    assert rows_of(data.mask()).tolist() == np.where(pixels, 1, X).tolist()


def test_long_runs_as_text(tmp_path):
    pixels = np.zeros((300, 200), bool)
    pixels[5:290, 3:190] = True
    pixels[100:110, 50:60] = False
    folder = write_coco(tmp_path / 'source', [annotation(run_lengths(pixels, True))])
    content = dict(
        images=[dict(id=1, file_name='a.png')],
        annotations=[annotation(run_lengths(pixels, True))],
        categories=CATEGORIES,
    )
    write_json(content, folder / 'annotations.json')
    photograph(folder / 'images' / 'a.png', 300, 200)
    assert rows_of(import_here(folder).mask()).tolist() == np.where(pixels, 1, X).tolist()


def test_later_shapes_lie_over_earlier_ones_and_all_over_crowds(tmp_path):
    whole = np.ones((HEIGHT, WIDTH), bool)
    small, large = annotation([SQUARE]), annotation([[0, 0, 8, 0, 8, 8, 0, 8]], category=3)
    crowd = annotation(run_lengths(whole, False), category=3, iscrowd=1)
    data = import_here(write_coco(tmp_path / 'crowd', [small, crowd]))
    assert data.mask() == boxed(1, 1, 2, 5, 6, rest=0)
    data = import_here(write_coco(tmp_path / 'later', [small, large]))
    assert data.mask() == boxed(0, 0, 0, 8, 8)
    data = import_here(write_coco(tmp_path / 'smaller', [small, large]), smaller_on_top=True)
    assert rows_of(data.mask())[1:5, 2:6].tolist() == [[1] * 4] * 4


def test_files_for_each_split(tmp_path):
    folder = tmp_path / 'source'
    write_coco(folder, [annotation([SQUARE])], 'annotations/instances_train2017.json', ['a.png'])
    write_coco(folder, [annotation([SQUARE])], 'annotations/instances_val2017.json', ['b.png'])
    write_json(
        dict(images=[dict(id=1, file_name='a.png')], annotations=[dict(image_id=1, caption='A.')]),
        folder / 'annotations' / 'captions_train2017.json',
    )
    data = import_here(folder)
    assert data.splits() == {'a': 'train', 'b': 'val'}
    assert data.description['split']['by'] == 'source'


def test_an_image_in_two_files_is_a_mistake(tmp_path):
    folder = write_coco(tmp_path / 'source', [annotation([SQUARE])])
    write_coco(folder, [annotation([SQUARE])], 'others.json')
    with pytest.raises(UserMistake, match='a.png is in annotations.json and in others.json'):
        import_here(folder)
    assert len(import_here(folder / 'others.json').report.written) == 1


def test_what_is_wrong_with_an_image_is_told(tmp_path):
    images = ['a.png', 'b.png', 'c.png', 'd.png', 'e.png']
    annotations = [
        annotation([SQUARE]),
        annotation([], image=2, id=12),
        annotation([SQUARE], category=99, image=3),
        annotation(dict(size=[3, 3], counts=[9]), image=4),
        annotation([SQUARE], image=5),
        annotation([SQUARE], image=77),
    ]
    folder = write_coco(tmp_path / 'source', annotations, images=images)
    photograph(folder / 'images' / 'e.png', 4, 4)
    failures = import_here(folder).failures()
    assert failures['b.png'] == 'annotation 12 has no segmentation, only a box'
    assert failures['c.png'] == 'its category_id 99 is not among the categories'
    assert 'run lengths of the size [3, 3], not of 8x10' in failures['images/d.png']
    assert failures['images/e.png'] == 'it has 4x4 pixels, but its annotation is for 10x8'
    assert 'an image 77 without an entry' in failures['annotations.json']


def test_panoptic_segments_are_the_colours_of_a_png(tmp_path):
    folder = tmp_path / 'source'
    photograph(folder / 'train' / 'a.jpg')
    ids = np.zeros((HEIGHT, WIDTH), int)
    ids[:4], ids[4:, :5] = 70_000, 259
    colors = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1)
    save(colors, folder / 'panoptic_train' / 'a.png')
    segments = [dict(id=70_000, category_id=3), dict(id=259, category_id=7)]
    content = dict(
        images=[dict(id=1, file_name='a.jpg', height=HEIGHT, width=WIDTH)],
        annotations=[dict(image_id=1, file_name='a.png', segments_info=segments)],
        categories=CATEGORIES,
    )
    write_json(content, folder / 'panoptic_train.json')
    data = import_here(folder)
    expected = np.full((HEIGHT, WIDTH), X)
    expected[:4], expected[4:, :5] = 0, 1
    assert data.said[0].endswith('COCO panoptic JSON, 1 images, 2 classes')
    assert data.mask() == expected.tolist()
