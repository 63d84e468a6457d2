"""Three lines of Python: load, predict, draw."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model
from PIL import Image
from tiny_run import forget_visualizers, sentence, write_workspace

import segheads
from segheads.inference.prediction import batches_of_one_size

SIZE = (40, 48)


@pytest.fixture(scope='module')
def workspace(tmp_path_factory):
    """The tiny workspace with a checkpoint of random weights that predicts every class."""
    folder = write_workspace(tmp_path_factory.mktemp('workspace'))
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='weights of the model are random'):
        model = segheads.load(folder / 'tiny.py', device='cpu')
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c'), palette=[[255, 0, 0]] * 3))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), folder / 'tiny.pth')
    return folder


@pytest.fixture
def in_workspace(workspace, monkeypatch):
    monkeypatch.chdir(workspace)
    forget_visualizers()


@pytest.fixture(scope='module')
def model(workspace):
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*random')
        return segheads.load(workspace / 'tiny.py', workspace / 'tiny.pth', device='cpu')


@pytest.fixture(scope='module')
def images():
    generator = np.random.default_rng(1)
    sizes = [SIZE, (33, 70), SIZE, (33, 70), SIZE]
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_the_class_map_is_that_of_mmsegmentation(model, workspace):
    path = workspace / 'data' / 'images' / 'val' / '0.png'
    class_map = segheads.predict(model, path)
    assert class_map.shape == SIZE and class_map.dtype == np.int64
    assert len(np.unique(class_map)) > 1
    # In both orders, because MMSegmentation changes the config for arrays and for paths.
    for _ in range(2):
        assert np.array_equal(class_map, segheads.predict(model, path))
    expected = inference_model(model, str(path)).pred_sem_seg.data[0]
    assert np.array_equal(class_map, expected)
    assert np.array_equal(class_map, segheads.predict(model, str(path)))


def test_kinds_of_images_agree(model, workspace):
    path = workspace / 'data' / 'images' / 'val' / '1.png'
    with Image.open(path) as image:
        by_pillow = segheads.predict(model, image)
        by_array = segheads.predict(model, np.asarray(image))
    assert np.array_equal(by_pillow, by_array)
    assert np.array_equal(by_pillow, segheads.predict(model, path))


def test_red_comes_first_in_arrays(model, images):
    bgr = np.ascontiguousarray(images[0][..., ::-1])
    expected = inference_model(model, bgr).pred_sem_seg.data[0]
    assert np.array_equal(segheads.predict(model, images[0]), expected)
    assert not np.array_equal(segheads.predict(model, bgr), expected)


@pytest.mark.parametrize('batch_size', [1, 2, 8])
def test_a_list_of_different_sizes(model, images, batch_size, monkeypatch):
    batches = []
    step = model.test_step
    monkeypatch.setattr(
        model, 'test_step', lambda data: batches.append(len(data['inputs'])) or step(data)
    )
    together = segheads.predict(model, images, batch_size=batch_size)
    assert sorted(batches) == {1: [1] * 5, 2: [1, 2, 2], 8: [2, 3]}[batch_size]
    for image, class_map in zip(images, together, strict=True):
        assert np.array_equal(class_map, segheads.predict(model, image))
    assert segheads.predict(model, []) == []


def test_few_images_wait_for_their_batch():
    drawn = []
    items = (drawn.append(n) or n for n in range(100))
    first = next(batches_of_one_size(items, lambda n: n, batch_size=2))
    assert first == [0] and len(drawn) == 8
    everything = [n for batch in batches_of_one_size(range(100), lambda n: n % 7, 3) for n in batch]
    assert sorted(everything) == list(range(100))


def test_predicting_leaves_the_config_alone(model, images):
    before = model.cfg.pretty_text
    segheads.predict(model, images[0])
    assert model.cfg.pretty_text == before


def test_classes_come_from_the_checkpoint_else_from_the_config(model, workspace, in_workspace):
    assert model.dataset_meta['classes'] == ['a', 'b', 'c']
    content = torch.load('tiny.pth', weights_only=True)
    torch.save(content['state_dict'], workspace / 'bare.pth')
    bare = segheads.load('tiny.py', 'bare.pth', 'cpu')
    assert bare.dataset_meta['classes'] == ['ground', 'wall', 'sky']
    assert bare.dataset_meta['palette'][1] == [160, 160, 160]


def test_a_config_in_place_of_a_path_stays_as_it_is(workspace, in_workspace):
    cfg = Config.fromfile('tiny.py')
    before = cfg.pretty_text
    with pytest.warns(UserWarning, match='random'):
        model = segheads.load(cfg, device='cpu')
    assert not model.training and cfg.pretty_text == before


def test_mistakes(model, workspace, in_workspace, images):
    load = segheads.load
    assert 'did you mean ccaseg_b0_ade20k' in sentence(load, 'ccaseg_b0_ade')
    assert 'nowhere.pth does not exist' in sentence(load, 'tiny.py', 'nowhere.pth')
    assert 'the device potato cannot be used' in sentence(load, 'tiny.py', 'tiny.pth', 'potato')
    if not torch.cuda.is_available():
        assert 'try cpu' in sentence(load, 'tiny.py', 'tiny.pth', 'cuda:0')
    misspelt = Config.fromfile('tiny.py')
    misspelt.model.decode_head.chanels = 3
    assert "takes no argument 'chanels'" in sentence(load, misspelt, 'tiny.pth', 'cpu')
    assert 'batch_size must be 1 or more' in sentence(segheads.predict, model, images, batch_size=0)
    assert 'does not exist' in sentence(segheads.predict, model, ['none.jpg'])
    assert '40x31 pixels is too small' in sentence(
        segheads.predict, model, np.zeros((31, 40), np.uint8)
    )


def test_a_checkpoint_that_leaves_weights_random(workspace, in_workspace):
    content = torch.load('tiny.pth', weights_only=True)
    del content['state_dict']['decode_head.conv_seg.bias']
    torch.save(content, Path('partial.pth'))
    told = sentence(segheads.load, 'tiny.py', 'partial.pth', 'cpu')
    assert 'does not fit the model' in told and 'conv_seg.bias' in told
