"""Mistakes are told from defects, and end a tool as they should."""

import time
from pathlib import Path

import pytest
from tiny_run import command, sentence

from segheads import commands
from segheads.commands import run_and_exit
from segheads.mistakes import sentence_for
from segheads.training.console import build_runner


def test_only_mistakes_lose_their_traceback(cfg, capsys, monkeypatch):
    def mistaken():
        cfg.model.decode_head.num_blocks = -1
        cfg.work_dir = 'work'
        build_runner(cfg)

    with pytest.raises(SystemExit) as exit_:
        run_and_exit(mistaken)
    assert exit_.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith('error: ') and 'num_blocks' in told

    monkeypatch.setenv('LOCAL_RANK', '1')
    waited = []
    monkeypatch.setattr(time, 'sleep', waited.append)
    with pytest.raises(SystemExit):
        run_and_exit(mistaken)
    assert waited == [commands.SECONDS_FOR_THE_FIRST], 'the first process speaks first'

    def defective():
        raise ValueError('somewhere in a library')

    with pytest.raises(ValueError, match='somewhere in a library'):
        run_and_exit(defective)


def test_an_argument_that_is_missing_or_unknown(cfg):
    cfg.work_dir = 'work'
    cfg.model.backbone.init_cfg = None
    cfg.model.decode_head.embed_dim = 8
    assert "takes no argument 'embed_dim'" in sentence(build_runner, cfg)
    del cfg.model.decode_head['embed_dim'], cfg.model.decode_head['in_channels']
    cfg.model.type = 'EncoderDecoder'
    told = sentence(build_runner, cfg)
    assert "CCASegHead needs 'in_channels'; add it to the config, or leave in_channels out" in told


def test_a_type_that_no_registry_knows():
    told = sentence_for(KeyError('NoResize is not in the mmseg::transform registry. Please ...'))
    assert told.startswith('NoResize is not in the mmseg::transform registry; ')
    assert sentence_for(KeyError('img')) is None


def test_tools_check_before_anything_is_written(workspace):
    told = sentence(command('train'), ['tiny.py'])
    assert 'the pretrained weights' in told
    told = sentence(command('test'), ['tiny.py', 'iter_2.pth'])
    assert 'the checkpoint iter_2.pth does not exist' in told
    assert not Path('work_dirs').exists()
