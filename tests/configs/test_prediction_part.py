"""Of the config in a checkpoint only what is registered is built."""

import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from tiny_run import sentence

from segheads.configs.prediction_part import config_in_checkpoint

BACKBONE = "type='MixVisionTransformer'"


@pytest.fixture
def text(cfg):
    assert BACKBONE in cfg.pretty_text
    return cfg.pretty_text


def read(text, **settings):
    return config_in_checkpoint(dict(config_text=text), 'x.pth', **settings)


def test_it_holds_what_predictions_need(cfg, text):
    found = read(text)
    assert found.model == cfg.model and found.tta_pipeline == cfg.tta_pipeline
    dataset = cfg.test_dataloader.dataset
    assert found.test_dataloader.dataset.pipeline == dataset.pipeline
    assert found.test_dataloader.dataset.metainfo == dataset.metainfo
    assert 'data_root' not in found.test_dataloader.dataset
    assert 'train_dataloader' not in found and 'optim_wrapper' not in found


@pytest.mark.parametrize(
    'name', ['mmseg.MixVisionTransformer', 'mmseg.models.backbones.mit.MixVisionTransformer']
)
def test_other_ways_to_name_a_registered_class(text, name):
    found = read(text.replace(BACKBONE, f'type={name!r}'))
    assert found.model.backbone.type in (name, 'MixVisionTransformer')


@pytest.mark.parametrize(
    'name',
    [
        'os.system',
        'shutil.rmtree',
        'mmengine.rmtree',
        'mmcv.Config',
        'mmengine.mmseg.MixVisionTransformer',
        'my.package.MixVisionTransformer',
        'module_to_run',
        '',
    ],
)
def test_anything_else_is_refused_unread(text, name, workspace):
    Path('module_to_run.py').write_text("raise RuntimeError('executed')")
    sys.path.insert(0, '')
    try:
        told = sentence(read, text.replace(BACKBONE, f'type={name!r}'))
    finally:
        sys.path.remove('')
    assert f'model.backbone.type={name!r}' in told and 'is not registered' in told


def test_scopes_are_packages_of_openmmlab(text):
    assert "default_scope='evil'" in sentence(read, text.replace("'mmseg'", "'evil'"))
    evil = text.replace('num_classes=3', "num_classes=3, _scope_='evil'")
    assert "model.decode_head._scope_='evil'" in sentence(read, evil)


def test_modules_are_imported_for_those_who_trust(text, workspace, monkeypatch):
    monkeypatch.syspath_prepend(str(workspace))
    Path('my_module_for_trust.py').write_text("open('ran', 'w')")
    text = text.replace("'segheads'", "'my_module_for_trust'")
    read(text)
    assert not Path('ran').exists()
    assert isinstance(read(text, trusted=True), Config)
    assert Path('ran').exists()


def test_checkpoints_without_a_config_of_today():
    assert 'holds no config' in sentence(config_in_checkpoint, {}, 'x.pth')
    assert 'holds no config' in sentence(config_in_checkpoint, dict(cfg=3), 'x.pth')
    assert 'MMSegmentation 0.x' in sentence(read, 'model = dict()\ndata = dict()\nrunner = dict()')
    assert 'without a model' in sentence(read, 'a = 1')


def test_a_data_set_that_is_not_here_and_names_in_a_file(text, workspace):
    mine = text.replace("type='BaseSegDataset'", "type='my_package.MyDataset'")
    Path('names.txt').write_text('secret')
    mine = mine.replace('metainfo=dict(', "metainfo=dict(classes_file='names.txt',")
    dataset = read(mine).test_dataloader.dataset
    assert dataset.type == 'BaseSegDataset' and 'classes_file' not in dataset.metainfo
