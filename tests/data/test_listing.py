"""Lists of images, and the files that are none of the user's."""

import codecs
import os
import shutil
from pathlib import Path

import pytest
from mmseg.registry import DATASETS
from tiny_run import sentence

from segheads.configs.preflight import check_data
from segheads.data.checks import open_dataset
from segheads.data.files import files_left_out, list_samples

KEY = 'train_dataloader.dataset'


def listed(cfg):
    """Returns the images and the masks that a run would read, by their names."""
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=[]))
    samples = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [
        [os.path.relpath(sample[name], 'data') for sample in samples]
        for name in ('img_path', 'seg_map_path')
    ]


def write_list(cfg, content):
    Path('data/train.txt').write_bytes(content if isinstance(content, bytes) else content.encode())
    cfg.train_dataloader.dataset.ann_file = 'train.txt'


def left_out(cfg):
    dataset = open_dataset(cfg.train_dataloader.dataset, KEY)
    list_samples(dataset, KEY)
    return files_left_out(dataset)


@pytest.mark.parametrize(
    'content',
    [
        '0\n1',
        '0\n1\n\n  \n',
        '0\r\n1\r\n',
        '\ufeff0\n1\n',
        codecs.BOM_UTF16_LE + '0\n1\n'.encode('utf-16-le'),
        '0.png\n1.png\n',
        ' 0.PNG\n1.png',
    ],
)
def test_lists_are_read_however_they_were_saved(cfg, content):
    if '0.PNG' in str(content):
        os.rename('data/images/train/0.png', 'data/images/train/0.PNG')
    write_list(cfg, content)
    images, masks = listed(cfg)
    assert [image.lower() for image in images] == ['images/train/0.png', 'images/train/1.png']
    assert masks == ['annotations/train/0.png', 'annotations/train/1.png']
    check_data(cfg, ('train',))


def test_a_suffix_that_is_a_part_of_the_name_stays(cfg):
    for kind in ('images', 'annotations'):
        shutil.copy(f'data/{kind}/train/0.png', f'data/{kind}/train/0.png.png')
    write_list(cfg, '0.png\n')
    assert listed(cfg) == [['images/train/0.png.png'], ['annotations/train/0.png.png']]


def test_names_that_end_in_another_suffix_than_the_config_says(cfg):
    os.rename('data/images/train/0.png', 'data/images/train/0.jpeg')
    write_list(cfg, '0.jpeg\n1\n')
    images, masks = listed(cfg)
    assert images == ['images/train/0.jpeg', 'images/train/1.png']
    assert masks == ['annotations/train/0.png', 'annotations/train/1.png']


@pytest.mark.parametrize(
    'content, advice',
    [
        ('images/train/0.png annotations/train/0.png\n', 'its lines have 2 columns'),
        ('0.png,0_mask.png\n', "its lines have 2 columns, such as '0.png,0_mask.png'"),
        ('0 1\n', 'its lines have 2 columns'),
        ('train\\0\n', 'write / instead'),
        ('images/train/0\nimages/train/1\n', "remove 'images/train/' from the lines"),
        ('filename\n0\n1\n', 'if its first line is a heading, remove it'),
        ('0\n7\n8\n', "a line is the name of an image below data/images/train, without '.png'"),
        ('\n', 'the list of images data/train.txt is empty'),
        (b'\xff\xd8\xff\xe0', 'is no text in UTF-8'),
    ],
)
def test_lists_that_name_other_things_than_images(cfg, content, advice):
    write_list(cfg, content)
    assert advice in sentence(check_data, cfg, ('train',))


def test_copies_in_hidden_folders_are_left_out_and_counted(cfg):
    for folder in ('.ipynb_checkpoints', '__MACOSX'):
        path = Path('data/images/train', folder)
        path.mkdir()
        shutil.copy('data/images/train/0.png', path / '0-checkpoint.png')
    Path('data/images/train/._0.png').write_bytes(b'not an image')
    assert listed(cfg)[0] == [f'images/train/{index}.png' for index in range(4)]
    (note,) = left_out(cfg)
    assert note.startswith('3 hidden images are left out, for example data/images/train/')
    check_data(cfg, ('train',))


def test_a_hidden_folder_above_the_data_is_the_users_own(cfg):
    os.rename('data', '.data')
    cfg.train_dataloader.dataset.data_root = '.data'
    assert len(listed(cfg)[0]) == 4 and left_out(cfg) == []


@pytest.mark.parametrize('name', ['0.PNG', '0.jpg'])
def test_images_of_another_suffix_are_told(cfg, name):
    os.rename('data/images/train/0.png', f'data/images/train/{name}')
    (note,) = left_out(cfg)
    assert f'1 images are left out, for example data/images/train/{name}' in note
    assert "img_suffix='.png'" in note
    write_list(cfg, '1\n2\n')
    assert left_out(cfg) == []


def test_masks_beside_the_images_are_no_images(cfg):
    for mask in Path('data/annotations/train').iterdir():
        shutil.copy(mask, f'data/images/train/{mask.stem}_mask.bmp')
    cfg.train_dataloader.dataset.update(
        data_prefix=dict(img_path='images/train', seg_map_path='images/train'),
        seg_map_suffix='_mask.bmp',
    )
    assert left_out(cfg) == []
