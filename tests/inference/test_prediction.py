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
from segheads.inference.predictor import batches_of_one_size

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
    assert 'list is empty' in sentence(segheads.predict, model, [])


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


def build(channels=3, mean=None, **loader):
    """A tiny model with random weights that takes images of some channels, loaded in some way."""
    cfg = Config.fromfile('tiny.py')
    cfg.model.backbone.in_channels = channels
    cfg.model.data_preprocessor.update(mean=mean or [100.0] * channels, std=[50.0] * channels)
    cfg.test_dataloader.dataset.pipeline[0] = dict(type='LoadImageFromFile', **loader)
    with pytest.warns(UserWarning, match='random'):
        model = segheads.load(cfg, device='cpu')
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    return model


def test_a_grey_model(in_workspace):
    model = build(1, color_type='grayscale')
    path = 'data/images/val/0.png'
    class_map = segheads.predict(model, path)
    assert class_map.shape == SIZE
    with Image.open(path) as image:
        grey = np.asarray(image)[..., 0]
        for same in (grey, image, np.asarray(image)):
            assert np.array_equal(segheads.predict(model, same), class_map)
    picture = segheads.draw(model, path, class_map, opacity=0, legend=False)
    assert np.array_equal(np.asarray(picture), np.stack([grey] * 3, axis=2))


def test_a_model_of_four_bands(in_workspace):
    model = build(4, color_type='unchanged')
    rgba = np.random.default_rng(0).integers(0, 256, (*SIZE, 4), dtype=np.uint8)
    Image.fromarray(rgba).save('rgba.png')
    class_map = segheads.predict(model, 'rgba.png')
    assert np.array_equal(segheads.predict(model, rgba), class_map)
    picture = segheads.draw(model, 'rgba.png', class_map, opacity=0, legend=False)
    assert np.array_equal(np.asarray(picture), rgba[..., :3])


def test_a_model_of_deep_images(in_workspace):
    model = build(1, color_type='unchanged', to_float32=True)
    deep = np.random.default_rng(0).integers(0, 4096, SIZE, dtype=np.uint16)
    Image.fromarray(deep).save('deep.png')
    class_map = segheads.predict(model, 'deep.png')
    assert np.array_equal(segheads.predict(model, deep), class_map)
    shallow = segheads.predict(model, (deep >> 8).astype(np.uint8))
    assert not np.array_equal(shallow, class_map)


def test_images_of_other_channels_than_the_model_takes(in_workspace):
    path = 'data/images/val/0.png'
    told = sentence(segheads.predict, build(1), path)
    assert 'takes images of 1 channels' in told and 'pipeline yields 3' in told
    assert 'takes images of 4 channels' in sentence(segheads.predict, build(4), path)
    # The mean of three channels makes three of one, in training too.
    assert segheads.predict(build(3, color_type='grayscale'), path).shape == SIZE
    told = sentence(segheads.predict, build(3, mean=[0.0] * 4), path)
    assert '4 for mean and 3 for std' in told


def test_a_transform_that_does_not_take_the_image(in_workspace):
    model = build(1, color_type='grayscale')
    model.cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='CLAHE'))
    told = sentence(segheads.predict, model, 'data/images/val/0.png')
    assert 'CLAHE of the test pipeline does not take an image of 40x48' in told


def test_more_pixels_than_pillow_reads(in_workspace, monkeypatch):
    model, path = build(), 'data/images/val/0.png'
    expected = segheads.predict(model, path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    assert np.array_equal(segheads.predict(model, path), expected)


def test_a_checkpoint_is_enough(in_workspace, model, images):
    """MMEngine notes the config in ``meta``; nothing else is needed, and nothing is executed."""
    text = Config.fromfile('tiny.py').pretty_text
    meta = dict(cfg=text, dataset_meta=dict(classes=('a', 'b', 'c'), palette=[[1, 2, 3]] * 3))
    torch.save(dict(state_dict=model.state_dict(), meta=meta), 'alone.pth')
    alone = segheads.load('alone.pth', device='cpu')
    assert alone.dataset_meta['classes'] == ['a', 'b', 'c']
    assert np.array_equal(segheads.predict(alone, images[0]), segheads.predict(model, images[0]))
    assert 'tiny.pth holds no config' in sentence(segheads.load, 'tiny.pth')
    assert 'alone.pth is a checkpoint' in sentence(segheads.load, 'alone.pth', 'tiny.pth')
    assert 'missing.pth does not exist' in sentence(segheads.load, 'missing.pth')
