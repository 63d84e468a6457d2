"""Sources that are masks: of values, of colours, or one for each class."""

import numpy as np
import pytest
from annotated_folders import HEIGHT, WIDTH, X, import_here, photograph, save
from PIL import Image

from segheads.mistakes import UserMistake

LABELS = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3
COLORS = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 200]])
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def write_pair(folder, mask, name='a', **others):
    photograph(folder / 'images' / f'{name}.jpg')
    save(mask, folder / 'masks' / f'{name}.png', **others)
    return folder


def test_masks_of_class_ids_with_the_names_in_a_file(tmp_path):
    mask = LABELS.copy()
    mask[0, 0] = 255
    folder = write_pair(tmp_path / 'source', mask, palette=PALETTE)
    (folder / 'classes.txt').write_text('sky\nroad\n tree \ncar\n')
    data = import_here(folder)
    assert data.said[0].endswith('grey masks, 1 images, 4 classes')
    assert data.names == ['sky', 'road', 'tree', 'car']
    assert data.mask() == mask.tolist()
    assert data.description['classes'][1]['color'] == [128, 0, 0], 'the palette of the masks stays'


def test_masks_of_0_and_255_are_background_and_foreground(tmp_path):
    data = import_here(write_pair(tmp_path / 'source', (LABELS == 1) * 255))
    assert data.names == ['background', 'foreground']
    assert data.mask() == (LABELS == 1).astype(int).tolist()
    assert '0 is taken for background and 255 for foreground' in data.report.notes


def test_masks_of_any_values_list_them_for_naming(tmp_path):
    folder = write_pair(tmp_path / 'source', np.array([0, 127, 255])[LABELS])
    data = import_here(folder)
    assert data.names == ['0', '127', '255']
    assert data.mask() == LABELS.tolist()
    note = data.report.notes[0]
    assert 'does not name its classes' in note and '\n    127: ' in note
    named = tmp_path / 'names.yaml'
    named.write_text('0: sky\n127: no\n255:\n')
    data = import_here(folder.rename(tmp_path / 'again'), classes=named)
    assert data.names == ['sky', 'no'], 'no is a name here, not False'
    assert data.mask() == np.array([0, 1, X])[LABELS].tolist()


@pytest.mark.parametrize('where', ['labelmap.txt', 'class_dict.csv', 'palette.json', 'given'])
def test_masks_of_colours_with_a_palette_file(tmp_path, where):
    folder = write_pair(tmp_path / 'source', COLORS[LABELS])
    texts = {
        'labelmap.txt': '# label:color_rgb:parts:actions\n'
        'sky:10,20,30::\nroad:200,0,0::\nbus:0,0,200::\n',
        'class_dict.csv': 'name,r,g,b\nsky,10,20,30\nroad, 200, 0, 0\nbus,0,0,200\n',
        'palette.json': '{"sky": [10, 20, 30], "road": "#c80000", "bus": [0, 0, 200]}',
    }
    palette = tmp_path / 'mine.txt' if where == 'given' else folder / where
    palette.write_text(texts.get(where, texts['labelmap.txt']))
    data = import_here(folder, palette=palette if where == 'given' else None)
    assert data.said[0].endswith('RGB-coded masks, 1 images, 3 classes')
    assert data.names == ['sky', 'road', 'bus']
    assert data.description['classes'][1]['color'] == [200, 0, 0]
    assert data.mask() == LABELS.tolist()


def test_masks_of_colours_without_a_palette_list_them_for_naming(tmp_path):
    data = import_here(write_pair(tmp_path / 'source', COLORS[LABELS]))
    assert data.names == ['rgb 0 0 200', 'rgb 10 20 30', 'rgb 200 0 0']
    assert '\n    rgb 200 0 0: ' in data.report.notes[0]
    assert data.mask() == np.array([1, 2, 0])[LABELS].tolist()


def test_black_that_the_palette_does_not_name_is_unlabelled(tmp_path):
    colors = COLORS.copy()
    colors[0] = 0
    folder = write_pair(tmp_path / 'source', colors[LABELS])
    (folder / 'labelmap.txt').write_text('road:200,0,0::\nbus:0,0,200::\n')
    assert import_here(folder).mask() == np.array([X, 0, 1])[LABELS].tolist()
    data = import_here(folder.rename(tmp_path / 'again'), background='ground')
    assert data.names == ['ground', 'road', 'bus']
    assert data.mask() == LABELS.tolist()


def test_a_colour_that_the_palette_lacks_is_told(tmp_path):
    folder = write_pair(tmp_path / 'source', COLORS[LABELS])
    write_pair(folder, COLORS[LABELS % 2], 'b')
    (folder / 'labelmap.txt').write_text('sky:10,20,30::\nroad:200,0,0::\n')
    data = import_here(folder)
    assert data.splits() == {'b': 'train'}
    expected = 'its mask a.png has colours that stand for no class: rgb 0 0 200'
    assert data.failures() == {'images/a.jpg': expected}


def test_a_palette_with_one_colour_for_two_classes_is_a_mistake(tmp_path):
    folder = write_pair(tmp_path / 'source', COLORS[LABELS])
    (folder / 'labelmap.txt').write_text('sky:10,20,30::\nroad:10,20,30::\n')
    with pytest.raises(UserMistake, match="gives 'sky' and 'road' the same colour"):
        import_here(folder)


def test_masks_saved_with_loss_are_a_mistake(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT * 4, WIDTH * 4, 3))
    folder = write_pair(tmp_path / 'source', noise)
    with pytest.raises(UserMistake, match='colours: too many for classes'):
        import_here(folder)


def test_black_and_white_jpegs_are_read_by_a_threshold_in_a_folder_of_their_class(tmp_path):
    folder, disk = tmp_path / 'source', np.zeros((64, 64))
    disk[10:41, 20:50] = 255
    photograph(folder / 'images' / 'a.jpg', 64, 64)
    save(disk, folder / 'masks' / 'a.jpg')
    with pytest.raises(UserMistake, match='are JPEG, which changes values.*as masks/CLASS'):
        import_here(folder)
    (folder / 'masks').rename(folder / 'car')
    (folder / 'masks').mkdir()
    (folder / 'car').rename(folder / 'masks' / 'car')
    data = import_here(folder, background='ground')
    assert data.mask() == (disk > 0).astype(int).tolist()


@pytest.mark.parametrize(
    'order', ['masks/{}/a.png', '{}/a.png', 'masks/a/{}.png', 'masks/a_{}.png']
)
def test_a_binary_mask_for_each_class(tmp_path, order):
    folder = tmp_path / 'source'
    photograph(folder / 'images' / 'a.jpg')
    for label, name in ((1, 'car'), (2, 'tree')):
        mask = Image.fromarray(((LABELS == label) * 255).astype(np.uint8))
        path = folder / order.format(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        mask.save(path)
    data = import_here(folder, images=folder / 'images' if order == '{}/a.png' else None)
    assert data.said[0].endswith('binary masks by class, 1 images, 2 classes')
    assert data.names == ['car', 'tree']
    assert data.mask() == np.array([X, 0, 1])[LABELS].tolist()


def test_binary_masks_may_hold_1_or_be_of_one_bit(tmp_path):
    folder = tmp_path / 'source'
    photograph(folder / 'images' / 'a.jpg')
    save((LABELS == 1) * 1, folder / 'masks' / 'car' / 'a.png')
    (folder / 'masks' / 'tree').mkdir()
    Image.fromarray(LABELS == 2).save(folder / 'masks' / 'tree' / 'a.png')
    data = import_here(folder, background='rest')
    assert data.names == ['rest', 'car', 'tree']
    assert data.mask() == LABELS.tolist()


def write_voc(folder, split=False, **others):
    for name in 'ab':
        photograph(folder / 'JPEGImages' / f'{name}.jpg')
        save(others.get('mask', LABELS), folder / 'SegmentationClass' / f'{name}.png', PALETTE)
        save(LABELS, folder / 'SegmentationObject' / f'{name}.png', PALETTE)
    if split:
        for name, text in (('train', 'a\n'), ('val', 'b\n')):
            path = folder / 'ImageSets' / 'Segmentation' / f'{name}.txt'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


def test_pascal_voc(tmp_path):
    mask = LABELS.copy()
    mask[0, 0] = 255
    data = import_here(write_voc(tmp_path / 'source', split=True, mask=mask))
    assert data.said[0].endswith('Pascal VOC masks, 2 images, 21 classes')
    assert data.names[:3] == ['background', 'aeroplane', 'bicycle']
    assert data.mask() == mask.tolist()
    assert data.splits() == {'a': 'train', 'b': 'val'}
    (note,) = [note for note in data.report.notes if 'are in no image' in note]
    assert note.startswith('18 classes are in no image: bird, boat,')


def test_masks_that_cvat_exports(tmp_path):
    folder = tmp_path / 'source'
    for name in 'ab':
        photograph(folder / 'images' / f'{name}.jpg')
        save(COLORS[LABELS], folder / 'SegmentationClass' / f'{name}.png')
        save(COLORS[LABELS], folder / 'SegmentationObject' / f'{name}.png')
    (folder / 'labelmap.txt').write_text('background:10,20,30::\ncar:200,0,0::\nbus:0,0,200::\n')
    data = import_here(folder)
    assert data.said[0].endswith('CVAT segmentation masks, 2 images, 3 classes')
    assert data.names == ['background', 'car', 'bus']
    assert data.mask('b') == LABELS.tolist()


def test_roboflow(tmp_path):
    folder = tmp_path / 'source'
    for split, name in (('train', 'a_jpg.rf.0f'), ('valid', 'b_jpg.rf.1e')):
        photograph(folder / split / f'{name}.jpg')
        save(LABELS, folder / split / f'{name}_mask.png')
        table = 'Pixel Value, Class\n0, background\n1, car\n2, "tree, dead"\n'
        (folder / split / '_classes.csv').write_text(table)
    photograph(folder / 'train' / 'c.jpg')
    data = import_here(folder)
    assert data.said[0].endswith('Roboflow semantic masks, 2 images, 3 classes')
    assert data.names == ['background', 'car', 'tree, dead']
    assert data.mask('a_jpg.rf.0f') == LABELS.tolist()
    assert set(data.splits().values()) == {'train', 'val'}
    assert data.failures() == {'train/c.jpg': 'it has no mask c_mask.png'}


@pytest.mark.parametrize(
    'image, mask',
    [
        ('train/images/a.jpg', 'train/labels/a.png'),
        ('images/train/a.jpg', 'annotations/train/a.png'),
        ('train/a.jpg', 'train_labels/a.png'),
        ('a.jpg', 'a_mask.png'),
        ('leftImg8bit/train/x/a_leftImg8bit.png', 'gtFine/train/x/a_gtFine_labelIds.png'),
        ('photos/a.tif', 'ground truth/a.bmp'),
    ],
)
def test_where_images_and_masks_may_lie(tmp_path, image, mask):
    folder = tmp_path / 'source'
    photograph(folder / image)
    save(LABELS, folder / mask)
    named = dict(masks=folder / 'ground truth') if 'ground' in mask else {}
    data = import_here(folder, **named)
    assert data.names == ['0', '1', '2']
    (entry,) = data.description['files']
    assert entry['origin'] == mask


def test_what_has_no_partner_is_noted(tmp_path):
    folder = write_pair(tmp_path / 'source', LABELS)
    photograph(folder / 'images' / 'b.jpg')
    save(LABELS, folder / 'masks' / 'c.png')
    notes = import_here(folder).report.notes
    assert '1 images have no mask and are left out: images/b.jpg' in notes
    assert '1 masks have no image and are left out: masks/c.png' in notes


def test_a_mask_of_another_size_is_told(tmp_path):
    folder = write_pair(tmp_path / 'source', LABELS)
    photograph(folder / 'images' / 'b.jpg')
    save(LABELS[:4], folder / 'masks' / 'b.png')
    data = import_here(folder)
    assert data.splits() == {'a': 'train'}
    expected = 'it has 10x8 pixels, but its annotation is for 10x4'
    assert data.failures() == {'images/b.jpg': expected}


def test_a_folder_of_nothing_known(tmp_path):
    photograph(tmp_path / 'source' / 'a.jpg')
    with pytest.raises(UserMistake, match='is of no format known here: it holds 1 images and 0'):
        import_here(tmp_path / 'source')
    with pytest.raises(UserMistake, match='--format kitti is not one of coco, labelme'):
        import_here(tmp_path / 'source', format='kitti')
    with pytest.raises(UserMistake, match='is not of the format coco'):
        import_here(tmp_path / 'source', format='coco')
