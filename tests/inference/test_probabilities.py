"""Scores and probabilities, from one view of an image and from several."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.apis import inference_model
from mmseg.registry import MODELS
from tiny_run import sentence, write_workspace

import segheads
from segheads.configs.unlabelled import remove_mask_loaders
from segheads.inference import probabilities

# Odd, larger than a window, and no multiple of its stride.
SIZE = (71, 90)
WINDOWS = dict(mode='slide', crop_size=(48, 64), stride=(32, 40))


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    cfg = Config.fromfile(write_workspace(tmp_path_factory.mktemp('workspace')) / 'tiny.py')
    del cfg.model.data_preprocessor['size']
    return cfg


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def build(config, **model):
    cfg = config.copy()
    cfg.model.update(model)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='random'):
        model = segheads.load(cfg, device='cpu')
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=0.03)
    return model


def expected_of(model, image):
    """The probabilities of MMSegmentation's own logits at full size."""
    model.test_cfg.keep_logits = True
    (result,) = [inference_model(model, np.ascontiguousarray(image[..., ::-1]))]
    del model.test_cfg['keep_logits']
    return result.seg_logits.data.softmax(dim=0).numpy()


@pytest.mark.parametrize('kind', ['LeanEncoderDecoder', 'EncoderDecoder'])
@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), WINDOWS], ids=['whole', 'windows'])
def test_they_are_those_of_the_logits(config, image, kind, test_cfg):
    model = build(config, type=kind, test_cfg=test_cfg)
    found = segheads.predict(model, image, scores=True, probabilities=True)
    expected = expected_of(model, image)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    assert found.probabilities.dtype == np.float32 and found.scores.dtype == np.float32
    assert np.array_equal(found.class_map, segheads.predict(model, image))
    chosen = np.take_along_axis(found.probabilities, found.class_map[None], axis=0)[0]
    np.testing.assert_allclose(found.scores, chosen, atol=1e-6)
    only = segheads.predict(model, [image], scores=True)[0]
    assert only.probabilities is None and np.array_equal(only.scores, found.scores)


@pytest.mark.parametrize('kind', ['LeanEncoderDecoder', 'EncoderDecoder'])
@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), WINDOWS], ids=['whole', 'windows'])
def test_views_are_averaged_as_mmsegmentation_does(config, image, kind, test_cfg):
    model = build(config, type=kind, test_cfg=test_cfg)
    model.cfg.tta_pipeline[1].transforms.insert(
        0, [dict(type='Resize', scale_factor=factor) for factor in (1.0, 1.5)]
    )
    found = segheads.predict(model, image, probabilities=True, augmented=True)
    steps = remove_mask_loaders(model.cfg.tta_pipeline)[1:]
    loaded = dict(img=image[..., ::-1].copy(), img_path='', img_shape=SIZE, ori_shape=SIZE)
    data = pseudo_collate([Compose(steps)(loaded)])
    assert len(data['inputs']) == 4
    reference = MODELS.build(dict(type='SegTTAModel', module=model))
    (expected,) = reference.test_step(data)
    model.is_augmented = False
    assert (found.class_map == expected.pred_sem_seg.data.numpy()).mean() > 0.999
    assert np.array_equal(found.class_map, found.probabilities.argmax(axis=0))
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-5)
    assert not np.array_equal(found.class_map, segheads.predict(model, image))


def test_a_model_with_one_output_tells_two_classes(config, image):
    head = dict(num_classes=2, out_channels=1, threshold=0.3)
    loss = dict(type='CrossEntropyLoss', use_sigmoid=True)
    cfg = config.copy()
    cfg.model.decode_head.update(head, loss_decode=loss)
    cfg.test_dataloader.dataset.metainfo = dict(classes=('other', 'road'))
    model = build(cfg)
    found = segheads.predict(model, image, scores=True, probabilities=True)
    assert found.probabilities.shape == (2, *SIZE)
    assert np.array_equal(found.class_map, found.probabilities[1] > 0.3)
    assert np.array_equal(found.class_map, segheads.predict(model, image))
    assert set(np.unique(found.class_map)) == {0, 1} and found.scores.min() < 0.5


def test_many_values_take_16_bits(config, image, monkeypatch):
    model = build(config)
    whole = segheads.predict(model, image, probabilities=True).probabilities
    monkeypatch.setattr(probabilities, 'MOST_FLOAT32_VALUES', 1000)
    halved = segheads.predict(model, image, probabilities=True).probabilities
    assert halved.dtype == np.float16
    np.testing.assert_allclose(halved, whole, atol=1e-3)


def test_nothing_to_augment_by(config, image):
    cfg = config.copy()
    cfg.tta_pipeline = None
    told = sentence(segheads.predict, build(cfg), image, augmented=True)
    assert 'has no tta_pipeline' in told
