"""The commands that tell what there is."""

import pytest
import torch
from tiny_run import command, sentence

import segheads
from segheads.configs.catalogue import describe_models


def test_every_model_is_described() -> None:
    entries = describe_models()
    assert [entry.name for entry in entries] == segheads.list_models()
    # A config of one's own below local_configs has no entry, and is listed by its name.
    described = [entry for entry in entries if entry.head]
    assert len(described) > 50
    assert all(float(entry.parameters) > 0 for entry in described)


def test_models_prints_a_row_for_each(capsys: pytest.CaptureFixture) -> None:
    command('models')(['pcaa_r*_cityscapes'])
    rows = [line for line in capsys.readouterr().out.splitlines() if 'pcaa' in line]
    assert [row.split()[1] for row in rows] == ['pcaa_r101_cityscapes', 'pcaa_r50_cityscapes']
    assert 'ResNet-50' in rows[1] and '768x768' in rows[1]


def test_models_names_what_resembles_a_mistake() -> None:
    told = sentence(command('models'), ['ccaseg_b0_ade2k'])
    assert 'no model is called ccaseg_b0_ade2k; did you mean ccaseg_b0_ade20k' in told


def test_weights_at_hand_are_told(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (before,) = describe_models('ccaseg_b0_ade20k')
    (tmp_path / 'ckpt').mkdir()
    (tmp_path / 'ckpt' / 'mit_b0_20220624-7e0fe6dd.pth').touch()
    (after,) = describe_models('ccaseg_b0_ade20k')
    assert (before.weights, after.weights) == ('missing', 'at hand')


def test_info_names_versions_and_device(capsys: pytest.CaptureFixture) -> None:
    command('info')([])
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines['torch'] == torch.__version__.partition('+')[0]
    assert lines['segheads'].startswith(segheads.__version__)
    assert {'python', 'device', 'threads', 'processor', 'mmsegmentation'} <= set(lines)
