"""What an import leaves on the disk."""

import json
import os

import numpy as np
import pytest
from annotated_folders import HEIGHT, WIDTH, boxed, import_here, photograph, save, write_json
from PIL import Image

from segheads.annotations import importing, writing
from segheads.annotations.rasterising import Shapes
from segheads.annotations.records import Record
from segheads.annotations.writing import name_files
from segheads.mistakes import UserMistake

CORNERS = [[2, 1], [6, 5]]


def label(path, *labels, height=HEIGHT, width=WIDTH, image=None):
    """Writes a LabelMe file for an image."""
    shapes = [dict(label=each, points=CORNERS, shape_type='rectangle') for each in labels]
    content = dict(
        shapes=shapes, imagePath=image or path.name, imageHeight=height, imageWidth=width
    )
    write_json(content, path.with_suffix('.json'))


def labelled(folder, names='ab', labels=('car',)):
    for name in names:
        label(photograph(folder / f'{name}.jpg'), *labels)
    return folder


def test_the_layout(tmp_path):
    data = import_here(labelled(tmp_path / 'source', 'abc'), val=0.4)
    written = sorted(p.relative_to(data.folder).as_posix() for p in data.folder.rglob('*.*'))
    splits = data.splits()
    assert set(splits.values()) == {'train', 'val'}
    expected = ['contact_sheet.jpg', 'dataset.json']
    expected += [f'images/{splits[name]}/{name}.jpg' for name in 'abc']
    expected += [f'annotations/{splits[name]}/{name}.png' for name in 'abc']
    assert written == sorted(expected)
    source = (tmp_path / 'source').resolve()
    assert data.description == dict(
        version=1,
        classes=[dict(id=0, name='car', color=data.description['classes'][0]['color'])],
        ignore_index=255,
        source=dict(format='LabelMe JSON', path=str(source)),
        split=dict(by='hash', val=0.4, test=0.0, group=None),
        files=[
            dict(
                image=f'images/{splits[name]}/{name}.jpg',
                mask=f'annotations/{splits[name]}/{name}.png',
                origin=f'{name}.json',
            )
            for name in 'abc'
        ],
    )


def test_masks_are_palette_pngs_in_the_colours_of_the_classes(tmp_path):
    data = import_here(labelled(tmp_path / 'source'))
    with Image.open(data.file('a')) as mask:
        assert mask.mode == 'P'
        assert mask.getpalette()[:3] == data.description['classes'][0]['color']
        assert list(mask.getpalette()[765:]) == [224, 224, 192]


def test_images_are_linked_or_else_copied(tmp_path, monkeypatch):
    folder = labelled(tmp_path / 'source')
    assert import_here(folder).file('a', 'image').samefile(folder / 'a.jpg')
    monkeypatch.setattr(os, 'link', lambda *paths: (_ for _ in ()).throw(OSError('another disk')))
    folder = folder.rename(tmp_path / 'again')
    copy = import_here(folder).file('a', 'image')
    assert not copy.samefile(folder / 'a.jpg')
    assert copy.read_bytes() == (folder / 'a.jpg').read_bytes()


def test_300_classes_make_masks_of_16_bits(tmp_path):
    folder = labelled(tmp_path / 'source', 'a', [f'class {index}' for index in range(300)])
    data = import_here(folder)
    assert data.description['ignore_index'] == 65535
    assert data.mask() == boxed(299, 1, 2, 6, 7, rest=65535)


def turned_photograph(path, height, width):
    image = Image.fromarray(np.zeros((height, width, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif)
    return path


def test_photographs_that_are_stored_sideways(tmp_path):
    photo = turned_photograph(tmp_path / 'upright' / 'a.jpg', WIDTH, HEIGHT)
    label(photo, 'car')
    assert import_here(photo.parent).mask() == boxed(0, 1, 2, 6, 7)
    photo = turned_photograph(tmp_path / 'stored' / 'a.jpg', HEIGHT, WIDTH)
    label(photo, 'car')
    expected = np.rot90(boxed(0, 1, 2, 6, 7), -1).tolist()
    assert import_here(photo.parent).mask() == expected, 'annotated as stored, turned with it'
    photo = turned_photograph(tmp_path / 'masks' / 'images' / 'a.jpg', HEIGHT, WIDTH)
    save(boxed(1, 1, 2, 6, 7, rest=0), tmp_path / 'masks' / 'masks' / 'a.png')
    expected = np.rot90(boxed(1, 1, 2, 6, 7, rest=0), -1).tolist()
    assert import_here(tmp_path / 'masks').mask() == expected


def test_names_are_kept_where_they_are_unique():
    names = ['x/a.jpg', 'y/a.jpg', 'y/A.png', 'b.jpg', '../c.jpg', 'd.jpg', 'd.png', 'y_a.jpg']
    found = name_files([Record(None, name, Shapes(), '') for name in names])
    assert found['b.jpg'] == 'b' and found['../c.jpg'] == 'c'
    assert found['x/a.jpg'] == 'x_a' and found['y/a.jpg'] == 'y_a'
    assert len({name.lower() for name in found.values()}) == len(names)


def test_what_is_there_is_not_written_over(tmp_path):
    folder = labelled(tmp_path / 'source')
    (tmp_path / 'data_of_source').mkdir()
    import_here(folder)
    with pytest.raises(UserMistake, match='is a folder with files; name another, or remove it'):
        import_here(folder)


def test_settings_that_do_not_fit(tmp_path):
    folder = labelled(tmp_path / 'source')
    (tmp_path / 'file').write_text('')
    for settings, expected in (
        (dict(palette=folder / 'x.txt'), 'is for masks of colours, not for LabelMe JSON'),
        (dict(classes=folder / 'x.yaml'), 'x.yaml cannot be read: No such file'),
        (dict(images=folder / 'x'), 'is no folder'),
        (dict(group='('), 'is no regular expression'),
    ):
        with pytest.raises(UserMistake, match=expected):
            import_here(folder, **settings)
    for out, expected in (('file', 'is a file'), ('file/data', 'cannot be made')):
        with pytest.raises(UserMistake, match=expected):
            importing.import_annotations(folder, tmp_path / out)


@pytest.mark.parametrize('part', ['draw_contact_sheet', 'DatasetWriter'])
def test_an_import_that_fails_leaves_nothing(tmp_path, monkeypatch, part):
    folder = labelled(tmp_path / 'source')

    def full(*arguments):
        raise OSError(28, 'No space left on device')

    if part == 'DatasetWriter':
        monkeypatch.setattr(writing.DatasetWriter, 'save_mask', full)
    else:
        monkeypatch.setattr(importing, part, full)
    with pytest.raises(UserMistake, match='cannot be written: No space left on device'):
        import_here(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['source']


def test_a_damaged_image_is_told_and_left_out(tmp_path):
    folder = labelled(tmp_path / 'source', 'abc')
    content = (folder / 'b.jpg').read_bytes()
    (folder / 'b.jpg').write_bytes(content[:-40])
    (folder / 'c.jpg').write_bytes(b'')
    data = import_here(folder)
    assert data.splits() == {'a': 'train'}
    assert data.failures().keys() == {'b.jpg', 'c.jpg'}
    assert str(tmp_path / 'data') not in json.dumps(data.failures())
    assert len(list(data.folder.rglob('*.*'))) == 4


def test_an_image_with_two_annotations_is_told(tmp_path):
    folder = labelled(tmp_path / 'source', 'a')
    label(folder / 'copy.jpg', 'car', image='a.jpg')
    data = import_here(folder)
    expected = 'copy.json annotates it, and a.json does so too, which is taken'
    assert data.failures() == {'a.jpg': expected}


def test_the_contact_sheet_shows_the_masks_over_the_images(tmp_path):
    folder = tmp_path / 'source'
    for index in range(14):
        photo = save(np.full((30, 40, 3), 255), folder / f'{index:02d}.png')
        label(photo, 'car', height=30, width=40)
    data = import_here(folder, background='ground')
    sheet = np.asarray(Image.open(data.folder / 'contact_sheet.jpg').convert('RGB')).astype(int)
    assert sheet.shape[0] > 3 * 324 and sheet.shape[1] == 1600
    # The class covers rows 1 to 5 and columns 2 to 6 of 30x40: about 39 of 400 pixels in.
    color = np.array(data.description['classes'][1]['color'])
    inside, outside = sheet[24 + 35, 45], sheet[24 + 150, 200]
    assert np.abs(inside - (0.55 * 255 + 0.45 * color)).max() < 25
    assert np.abs(inside - outside).max() > 40


def test_a_source_that_does_not_exist_or_is_an_archive(tmp_path):
    with pytest.raises(UserMistake, match='does not exist; give a folder or an annotation file'):
        import_here(tmp_path / 'nowhere')
    (tmp_path / 'export.zip').write_bytes(b'PK')
    with pytest.raises(UserMistake, match='is an archive; unpack it, and give the folder'):
        import_here(tmp_path / 'export.zip')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserMistake, match='holds no file'):
        import_here(tmp_path / 'empty')


def test_the_data_set_may_lie_in_the_source(tmp_path):
    folder = labelled(tmp_path / 'source')
    importing.import_annotations(folder, folder / 'data', tell=lambda text: None)
    importing.import_annotations(folder, folder / 'data2' / 'deep', tell=lambda text: None)
    content = json.loads((folder / 'data2' / 'deep' / 'dataset.json').read_text())
    assert len(content['files']) == 2
