"""Names and colours of classes."""

import warnings

import pytest
from mmengine.config import Config
from mmseg.datasets import CityscapesDataset
from tiny_run import sentence

from segheads.data.meta import dataset_meta, distinct_colours


def config(**dataset):
    settings = dict(dict(type='CityscapesDataset'), **dataset)
    return Config(dict(test_dataloader=dict(dataset=settings)))


def test_classes_of_a_data_set():
    meta = dataset_meta({}, config(), 19)
    assert meta['classes'] == list(CityscapesDataset.METAINFO['classes'])
    assert meta['palette'] == CityscapesDataset.METAINFO['palette']


def test_some_classes_of_a_data_set_keep_their_colours():
    meta = dataset_meta({}, config(metainfo=dict(classes=['sky', 'road'])), 2)
    assert meta == dict(classes=['sky', 'road'], palette=[[70, 130, 180], [128, 64, 128]])


def test_own_classes_without_colours_get_some():
    own = config(metainfo=dict(classes=['sky', 'cow']))
    assert "'cow', which is no class of CityscapesDataset" in sentence(dataset_meta, {}, own, 2)
    own.test_dataloader.dataset.type = 'BaseSegDataset'
    assert dataset_meta({}, own, 2) == dict(classes=['sky', 'cow'], palette=distinct_colours(2))


def test_one_output_has_two_values_names_and_colours():
    two = dict(classes=['ground', 'crack'], palette=[[1, 2, 3], [4, 5, 6]])
    assert dataset_meta(dict(dataset_meta=two), config(), 1) == two
    one = dict(classes=['crack'], palette=[[4, 5, 6]])
    meta = dataset_meta(dict(dataset_meta=one), config(), 1)
    assert meta == dict(classes=['background', 'crack'], palette=[[0, 0, 0], [4, 5, 6]])
    assert dataset_meta({}, Config(), 1)['classes'] == ['class 0', 'class 1']


@pytest.mark.parametrize(
    'noted', ['text', dict(classes='abc'), dict(classes=['a', 'b'], palette=[[1, 2, 3]])]
)
def test_notes_that_are_none_are_ignored(noted):
    own = config(type='BaseSegDataset', metainfo=dict(classes=['a', 'b']))
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        meta = dataset_meta(dict(dataset_meta=noted), own, 2)
    assert meta == dict(classes=['a', 'b'], palette=distinct_colours(2))


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
