"""Names and colours of classes."""

from mmengine.config import Config
from mmseg.datasets import CityscapesDataset

from segheads.data.meta import dataset_meta, distinct_colours


def config(**dataset):
    return Config(dict(test_dataloader=dict(dataset=dict(type='CityscapesDataset', **dataset))))


def test_classes_of_a_data_set():
    meta = dataset_meta({}, config(), 19)
    assert meta['classes'] == list(CityscapesDataset.METAINFO['classes'])
    assert meta['palette'] == CityscapesDataset.METAINFO['palette']


def test_some_classes_of_a_data_set_keep_their_colours():
    meta = dataset_meta({}, config(metainfo=dict(classes=['sky', 'road'])), 2)
    assert meta == dict(classes=['sky', 'road'], palette=[[70, 130, 180], [128, 64, 128]])


def test_own_classes_without_colours_get_some():
    meta = dataset_meta({}, config(metainfo=dict(classes=['sky', 'cow'])), 2)
    assert meta == dict(classes=['sky', 'cow'], palette=distinct_colours(2))


def test_checkpoints_of_mmsegmentation_0_and_1():
    saved = dict(classes=('x', 'y'), palette=[[1, 2, 3], [4, 5, 6]])
    for meta in (dict(dataset_meta=saved), dict(CLASSES=('x', 'y'), PALETTE=saved['palette'])):
        assert dataset_meta(meta, config(), 2) == dict(saved, classes=['x', 'y'])


def test_outputs_without_a_name():
    meta = dataset_meta(dict(CLASSES=['x'], PALETTE=[[1, 2, 3]]), Config(), 3)
    assert meta['classes'] == ['x', 'class 1', 'class 2']
    assert meta['palette'][0] == [1, 2, 3] and len(meta['palette']) == 3
    assert dataset_meta({}, config(), 2)['classes'] == ['class 0', 'class 1']


def test_distinct_colours_differ():
    colours = distinct_colours(150)
    assert len(set(map(tuple, colours))) == 150
    assert all(0 <= channel <= 255 for colour in colours for channel in colour)
