"""Mistakes in the config file and in --cfg-options."""

import argparse
from pathlib import Path

import pytest
from tiny_run import ROOT, sentence

from segheads.commands.arguments import add_run_arguments, config_options
from segheads.configs.loading import default_work_dir, load_config, require_keys
from segheads.mistakes import UserMistake


def test_a_missing_config_names_similar_files(workspace):
    folder = workspace / 'local_configs' / 'ccaseg' / 'B0'
    folder.mkdir(parents=True)
    (folder / 'ccaseg.b0.512x512.ade.160k.py').write_text('')
    right = 'did you mean local_configs/ccaseg/B0/ccaseg.b0.512x512.ade.160k.py?'
    misspelt = 'local_configs/ccaseg/B0/ccaseg.b0.512x512.ade.16k.py'
    assert right in sentence(load_config, misspelt)
    assert right in sentence(load_config, 'configs/ccaseg.b0.512x512.ade.160k.py')
    assert right in sentence(load_config, 'ccaseg.b0.512x512.ade.160k')
    assert 'did you mean' not in sentence(load_config, 'nothing_like_it.py')
    assert 'is a folder' in sentence(load_config, 'local_configs')


def test_a_name_in_place_of_a_path(workspace):
    by_name = load_config('ccaseg_b0_ade20k')
    assert Path(by_name.filename).name == 'ccaseg.b0.512x512.ade.160k.py'
    assert default_work_dir('ccaseg_b0_ade20k') == 'work_dirs/ccaseg.b0.512x512.ade.160k'
    Path('ccaseg_b0_ade20k').write_text('x = 1\n')
    with pytest.raises(UserMistake):  # the file counts, which has no suffix of a config
        load_config('ccaseg_b0_ade20k')


@pytest.mark.parametrize('name', ['ccaseg_b0_ade', 'ccaseg-b0-ade20k', 'CCASeg_B0_ADE20k'])
def test_a_misspelt_name(workspace, name):
    assert 'did you mean ccaseg_b0_ade20k' in sentence(load_config, name)
    assert 'list_models()' in sentence(load_config, name)


@pytest.mark.parametrize(
    'text, expected',
    [
        ('x = 1\nmodel = dict(\n', '(line 2 of broken.py)'),
        ("_base_ = './base.py'\n", '(line 1 of a file in its _base_)'),
        ('x = 1\ny = 1 / 0\n', 'ZeroDivisionError: division by zero (line 2 of broken.py)'),
        ("_base_ = ['./tiny.py', './tiny.py']\n", 'KeyError: Duplicate key'),
        ("_base_ = './no_base.py'\n", 'no_base.py'),
        ("custom_imports = dict(imports=['no_such_module'])\n", 'no_such_module'),
    ],
)
def test_a_config_that_does_not_parse(workspace, text, expected):
    Path('base.py').write_text('model = dict(\n')
    Path('broken.py').write_text(text)
    told = sentence(load_config, 'broken.py')
    assert told.startswith('the config file broken.py') and expected in told


def test_a_config_without_a_model(workspace):
    Path('empty.py').write_text('x = 1\n')
    told = sentence(require_keys, load_config('empty.py'), ('model', 'train_cfg'))
    assert 'has no model, train_cfg' in told


def test_options_override_settings(workspace):
    cfg = load_config('tiny.py', {'model.backbone.init_cfg': None, 'env_cfg.new_key': 1})
    assert cfg.model.backbone.init_cfg is None
    assert cfg.env_cfg.new_key == 1


def test_loading_without_workers(workspace):
    config = str(ROOT / 'local_configs/ccaseg/B0/ccaseg.b0.128x160.synthetic.demo.py')
    assert load_config(config).train_dataloader.persistent_workers
    cfg = load_config(config, {'train_dataloader.num_workers': 0})
    assert not cfg.train_dataloader.persistent_workers
    assert cfg.test_dataloader.persistent_workers


def test_a_misspelt_option(workspace):
    told = sentence(load_config, 'tiny.py', {'model.decod_head.num_classes': 3})
    assert "has no 'decod_head' there; did you mean decode_head?" in told
    assert 'exceeds' in sentence(load_config, 'tiny.py', {'tta_pipeline.9.type': 'Resize'})


def test_an_option_without_a_value(capsys):
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    options = parser.parse_args(['--cfg-options', 'a=None', '--cfg-options', 'b=[1,2]'])
    assert config_options(options) == {'a': None, 'b': [1, 2]}
    assert config_options(parser.parse_args([])) is None
    unbalanced = parser.parse_args(['--cfg-options', 'a=[1,(2]'])
    assert 'write lists as key=' in sentence(config_options, unbalanced)
    with pytest.raises(SystemExit):
        parser.parse_args(['--cfg-options', 'resume'])
    assert "'resume' is not of the form KEY=VALUE" in capsys.readouterr().err
