"""The model that comes with the package is there, is small, and is good."""

import numpy as np
import pytest
import torch
from tiny_run import command, sentence

import segheads
from segheads.checkpoints import read_checkpoint
from segheads.configs.catalogue import describe_models
from segheads.configs.names import config_files
from segheads.inference.predictor import Predictor
from segheads.weights.bundled import bundled_weights

NAME = 'cgrseg_r10t_scenes'
SCENE = 'scenes://192x256/seed0/test/{}/{:06d}.bmp'
HELD_OUT = range(16)


@pytest.fixture(scope='module')
def model():
    return segheads.load(NAME, pretrained=True, device='cpu')


def test_the_file_is_small_and_in_half_precision():
    file = bundled_weights(NAME)
    assert file.stat().st_size < 6e6
    weights = read_checkpoint(file)['state_dict']
    large = [tensor for tensor in weights.values() if tensor.dim() > 1]
    assert large and all(tensor.dtype == torch.float16 for tensor in large)
    assert bundled_weights('ccaseg_b0_ade20k') is None
    assert bundled_weights(f'../data/{NAME}') is None
    assert bundled_weights(config_files()[NAME]) == file


def test_it_computes_in_full_precision_and_knows_its_classes(model):
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert model.dataset_meta['classes'] == list(
        segheads.datasets.SyntheticScenes.METAINFO['classes']
    )
    assert not model.training


def test_it_reaches_85_miou_on_scenes_that_it_has_not_seen(model):
    predictor = Predictor(model, batch_size=len(HELD_OUT))
    images = [SCENE.format('images', index) for index in HELD_OUT]
    predicted = np.stack([each.class_map for each in predictor(images)])
    labels = np.stack(
        [predictor.read(SCENE.format('annotations', index)).pixels[..., 0] for index in HELD_OUT]
    )
    overlap = [
        np.sum((predicted == c) & (labels == c)) / np.sum((predicted == c) | (labels == c))
        for c in range(8)
    ]
    assert np.mean(overlap) > 0.85


def test_commands_need_no_checkpoint_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    segheads.draw(
        segheads.load(NAME, pretrained=True, device='cpu'), SCENE.format('images', 0)
    ).save('scene.png')
    command('predict')([NAME, 'scene.png', '--device', 'cpu'])
    assert (tmp_path / 'predictions/class_maps/scene.png').is_file()
    (entry,) = describe_models(NAME)
    assert entry.weights == 'whole model'


def test_others_still_need_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ('test', 'export'):
        assert 'give a checkpoint behind it' in sentence(command(name), ['ccaseg_b0_ade20k'])
    with pytest.warns(UserWarning, match='pretrained=True loads trained ones'):
        segheads.load(NAME, device='cpu')


def test_a_checkpoint_of_ones_own_takes_its_place(tmp_path):
    told = sentence(segheads.load, NAME, tmp_path / 'mine.pth', pretrained=True)
    assert 'mine.pth does not exist' in told
    told = sentence(command('predict'), [NAME, str(tmp_path / 'mine.pth'), str(tmp_path)])
    assert 'holds no image' in told
    told = sentence(command('predict'), [NAME[:-1], 'scene.png'])
    assert f'did you mean {NAME}' in told


def test_the_page_shows_it_without_being_told(tmp_path, monkeypatch):
    serving = pytest.importorskip('segheads.web.serving')
    monkeypatch.chdir(tmp_path)
    (served,) = serving.load_models([serving.demo()], 'cpu')
    assert (served.label, served.checkpoint) == (NAME, f'{NAME}.safetensors')
