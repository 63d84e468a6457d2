"""Mistakes in the data, found before training reads it."""

import os
from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image
from tiny_run import sentence

from segheads.configs.preflight import check_data
from segheads.data import labels as label_rules


def write_mask(split, index, labels):
    Image.fromarray(np.asarray(labels, np.uint8)).save(f'data/annotations/{split}/{index}.png')


def labels(*values):
    """Returns a mask in which each value has a column."""
    return np.tile(np.array(values, np.uint8), (40, 12))


def test_good_data_passes(cfg):
    check_data(cfg, ('train', 'val', 'test'))


def test_data_without_files_passes(cfg):
    cfg.model.decode_head.num_classes = 8
    cfg.train_dataloader.dataset = dict(type='SyntheticScenes', pipeline=[])
    check_data(cfg, ('train',))


@pytest.mark.parametrize(
    'wrap, key',
    [
        (lambda dataset: dataset, 'train_dataloader.dataset'),
        (
            lambda dataset: dict(type='RepeatDataset', times=2, dataset=dataset),
            'train_dataloader.dataset.dataset',
        ),
        (
            lambda dataset: dict(type='ConcatDataset', datasets=[dataset]),
            'train_dataloader.dataset.datasets.0',
        ),
    ],
)
def test_a_missing_folder(cfg, wrap, key):
    cfg.train_dataloader.dataset.data_root = 'elsewhere'
    cfg.train_dataloader.dataset = wrap(cfg.train_dataloader.dataset)
    told = sentence(check_data, cfg, ('train',))
    assert 'the image folder elsewhere/images/train' in told and f'of {key}, ' in told
    assert f'`--cfg-options {key}.data_root=FOLDER`' in told


def test_a_missing_folder_of_masks(cfg):
    os.rename('data/annotations/val', 'data/annotations/valid')
    check_data(cfg, ('train',))
    assert 'the mask folder data/annotations/val' in sentence(check_data, cfg, ('val',))


def test_an_empty_folder(cfg):
    cfg.train_dataloader.dataset.img_suffix = '.jpg'
    told = sentence(check_data, cfg, ('train',))
    assert "ends in '.jpg' (its files are such as 0.png)" in told
    for image in Path('data/images/train').iterdir():
        image.unlink()
    assert '(it is empty)' in sentence(check_data, cfg, ('train',))


def test_a_list_of_images_that_is_missing(cfg):
    cfg.train_dataloader.dataset.ann_file = 'train.txt'
    assert 'data/train.txt does not exist' in sentence(check_data, cfg, ('train',))


def test_images_without_masks(cfg):
    os.remove('data/annotations/train/3.png')
    told = sentence(check_data, cfg, ('train',))
    assert '1 of 4 images have no mask, for example data/annotations/train/3.png' in told
    cfg.train_dataloader.dataset.seg_map_suffix = '_label.png'
    told = sentence(check_data, cfg, ('train',))
    assert '4 of 4 images have no mask' in told and 'the folder has 3 files such as 0.png' in told


def test_data_without_masks_passes_where_none_are_read(cfg):
    os.remove('data/annotations/val/0.png')
    cfg.test_dataloader.dataset.pipeline.pop(1)
    check_data(cfg, ('test',))


def test_labels_outside_the_classes(cfg):
    write_mask('train', 2, labels(0, 1, 7, 9))
    told = sentence(check_data, cfg, ('train',))
    assert 'the masks hold the labels 0-2, 7, 9, 255' in told
    assert 'data/annotations/train/2.png' in told
    assert '3 classes allow 0-2, and 255 for ignored pixels' in told
    check_data(cfg, ('train',), read_masks=False)


def test_labels_that_the_head_ignores_pass(cfg):
    write_mask('train', 2, labels(0, 1, 9))
    cfg.model.decode_head.ignore_index = 9
    for index in (0, 1, 3):
        write_mask('train', index, labels(0, 1, 2))
    check_data(cfg, ('train',))


def test_the_hint_on_reduce_zero_label(cfg):
    write_mask('train', 0, labels(0, 1, 2, 3))
    assert 'set reduce_zero_label=True' in sentence(check_data, cfg, ('train',))
    cfg.train_dataloader.dataset.reduce_zero_label = True
    check_data(cfg, ('train',))
    cfg.train_dataloader.dataset.pipeline[1].reduce_zero_label = False
    assert 'reduce_zero_label' in sentence(check_data, cfg, ('train',))


def test_the_hint_when_reduce_zero_label_is_wrong(cfg):
    for index in range(4):
        write_mask('train', index, labels(0))
    cfg.train_dataloader.dataset.reduce_zero_label = True
    assert 'set it to False' in sentence(check_data, cfg, ('train',))


def test_black_and_white_masks(cfg):
    for index in range(4):
        write_mask('train', index, labels(0, 255))
    told = sentence(check_data, cfg, ('train',))
    assert 'hold the labels 0, 255' in told and 'write 1 instead of 255' in told


def test_colour_masks(cfg):
    write_mask('train', 0, np.zeros((40, 48, 3)))
    assert 'is a colour image of shape (40, 48, 3)' in sentence(check_data, cfg, ('train',))


def test_masks_that_cannot_be_read(cfg):
    Path('data/annotations/train/0.png').write_bytes(b'half a file')
    assert 'data/annotations/train/0.png cannot be read' in sentence(check_data, cfg, ('train',))


def test_reading_masks_takes_limited_time(cfg, monkeypatch):
    write_mask('train', 3, labels(77))
    monkeypatch.setattr(label_rules, 'SECONDS_TO_READ', 0.0)
    check_data(cfg, ('train',))  # stops after the first mask
    monkeypatch.setattr(label_rules, 'SECONDS_TO_READ', 60.0)
    monkeypatch.setattr(label_rules, 'MASKS_TO_READ', 2)
    assert '77' in sentence(check_data, cfg, ('train',))  # the first and the last


def test_more_classes_than_the_head_has(cfg):
    cfg.model.decode_head.num_classes = 2
    told = sentence(check_data, cfg, ('train',))
    assert 'has 3 classes, but model.decode_head tells 2 apart' in told


def test_more_classes_than_eight_bits_hold(cfg):
    """MMSegmentation lets labels above 255 wrap around; 255 is ignored unless told otherwise."""
    dataset = cfg.train_dataloader.dataset
    dataset.metainfo = dict(classes=[f'class {index}' for index in range(300)])
    cfg.model.decode_head.num_classes = 300
    for index in range(4):
        values = (np.arange(40 * 48).reshape(40, 48) % 300).astype(np.uint16)
        Image.fromarray(values).save(f'data/annotations/train/{index}.png')
    told = sentence(check_data, cfg, ('train',))
    assert 'ignore_index=65535' in told and 'seg_pad_val=65535' in told
    cfg.model.decode_head.ignore_index = 65535
    assert 'seg_pad_val=255 is one of the 300 classes' in sentence(check_data, cfg, ('train',))
    cfg.model.data_preprocessor.seg_pad_val = 65535
    check_data(cfg, ('train',))
    dataset.pipeline = dataset.pipeline[:2]
    loaded = DATASETS.build(dataset)[0]['gt_seg_map']
    assert loaded.max() == 299 and (loaded == values).all()


@pytest.mark.parametrize('classes', ['crack', 7, [], ['a', 2], ['a', ' ']])
def test_names_of_classes_that_are_none(cfg, classes):
    cfg.train_dataloader.dataset.metainfo = dict(classes=classes)
    assert 'metainfo.classes' in sentence(check_data, cfg, ('train',))


@pytest.mark.parametrize('palette', [[[1, 2, 3]] * 2, [[1, 2]] * 3, [[1, 2, 300]] * 3, 'red'])
def test_colours_of_classes_that_are_none(cfg, palette):
    cfg.train_dataloader.dataset.metainfo.palette = palette
    assert 'metainfo.palette' in sentence(check_data, cfg, ('train',))


def test_rare_objects_may_be_in_few_masks(cfg, monkeypatch):
    for index in range(4):
        write_mask('train', index, labels(0, 255, 255, 255))
    assert 'black-and-white' in sentence(check_data, cfg, ('train',))
    write_mask('train', 1, labels(0, 255, 1, 255))
    monkeypatch.setattr(label_rules, 'MASKS_TO_READ', 1)
    check_data(cfg, ('train',))


def test_masks_without_a_label_stop_a_training_only(cfg):
    for index in range(2):
        write_mask('val', index, labels(255, 255, 255, 255))
    check_data(cfg, ('val', 'test'))


def test_a_data_set_without_objects_beside_one_with_some(cfg):
    for index in range(4):
        write_mask('train', index, labels(0, 255, 255, 255))
    dataset = cfg.train_dataloader.dataset
    others = dict(dataset, data_prefix=cfg.val_dataloader.dataset.data_prefix)
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[dataset, others])
    check_data(cfg, ('train',))
    for index in range(2):
        write_mask('val', index, labels(0, 255, 255, 255))
    told = sentence(check_data, cfg, ('train',))
    assert 'datasets.0: all masks hold the labels 0, 255 only' in told
    assert 'datasets.1: all masks' in told and 'write 1 instead of 255' in told


def test_rare_objects_that_time_does_not_reach_are_no_mistake(cfg, monkeypatch):
    said = []
    monkeypatch.setattr(label_rules, 'tell', said.append)
    monkeypatch.setattr(label_rules, 'MASKS_TO_READ', 1)
    monkeypatch.setattr(label_rules, 'SECONDS_TO_READ_ON', 0.0)
    for index in range(4):
        write_mask('train', index, labels(0, 255, 255, 255))
    check_data(cfg, ('train',))
    assert '1 of 4 masks hold the labels 0, 255 only' in said[0]


@pytest.mark.parametrize('head', [dict(num_classes=1), dict(num_classes=2, out_channels=1)])
def test_a_head_with_one_output_tells_two_classes_apart(cfg, head):
    cfg.model.decode_head.update(head)
    for index in range(4):
        write_mask('train', index, labels(0, 1))
    dataset = cfg.train_dataloader.dataset
    dataset.metainfo = dict(classes=('background', 'crack'))
    check_data(cfg, ('train',))
    dataset.metainfo = dict(classes=('crack',))
    assert 'if 0 is the background, it is a class too' in sentence(check_data, cfg, ('train',))
    dataset.metainfo = dict(classes=('a', 'b', 'c'))
    assert 'has 3 classes, but model.decode_head tells 2' in sentence(check_data, cfg, ('train',))
