"""Honest checkpoints load wherever MMEngine reads one, and mean what MMEngine expects."""

import random
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from hostile_files import Call
from mmengine.fileio import LocalBackend
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, checkpoint
from torch import nn

from segheads.checkpoints import CheckpointError, read_checkpoint, safe_loading, trust_checkpoints


def honest_content() -> dict:
    """What MMEngine, its optimizers and the authors' training scripts save."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    optimizers = []
    for kind, settings in ((torch.optim.AdamW, {}), (torch.optim.SGD, dict(momentum=0.9))):
        optimizer = kind(model.parameters(), lr=0.1, **settings)
        model(torch.randn(2, 3, 4, 4)).square().sum().backward()
        optimizer.step()
        optimizers.append(optimizer.state_dict())
    return dict(
        state_dict=model.state_dict(),
        meta=dict(
            iter=2,
            dataset_meta=dict(classes=('road',), palette=[[1, 2, 3]]),
            random=[random.getstate(), np.random.get_state(), torch.get_rng_state()],
            numbers=[np.float64(0.5), np.arange(3), np.float32(1), np.array([True])],
        ),
        message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0, 3.0], [1, 1]))),
        optimizers=optimizers,
        args=Namespace(model='eformer_s1', lr=1e-3),
        views=[torch.arange(12.0).reshape(3, 4)[1:, ::2], torch.ones(()), torch.ones(0)],
        types=[torch.ones(2, dtype=dtype) for dtype in (torch.half, torch.bfloat16, torch.uint8)],
        parameter=nn.Parameter(torch.ones(2)),
    )


@pytest.mark.parametrize('is_new', [True, False], ids=['zip', 'before PyTorch 1.6'])
def test_honest_checkpoints_load(is_new: bool, tmp_path: Path) -> None:
    saved = honest_content()
    path = tmp_path / 'honest.pth'
    torch.save(saved, path, _use_new_zipfile_serialization=is_new)
    loaded = read_checkpoint(path)
    for part in ('state_dict', 'optimizers', 'views', 'types', 'parameter'):
        torch.testing.assert_close(loaded[part], saved[part], rtol=0, atol=0)
    assert loaded['args'] == saved['args']
    assert loaded['message_hub']['log_scalars']['loss'].statistics('mean') == 2.0
    assert loaded['meta']['dataset_meta'] == saved['meta']['dataset_meta']
    assert loaded['meta']['random'][0] == saved['meta']['random'][0]
    np.random.set_state(loaded['meta']['random'][1])
    assert [float(np.sum(number)) for number in loaded['meta']['numbers']] == [0.5, 3, 1, 1]


def test_every_address_is_read_by_segheads() -> None:
    loaders = {prefix: loader.__module__ for prefix, loader in CheckpointLoader._schemes.items()}
    assert set(loaders.values()) == {'segheads.checkpoints.safe_loading'}, loaders


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    path = tmp_path / 'hostile.pth'
    torch.save(Call(Path.touch, Call(Path, str(tmp_path / 'canary'))), path)
    return path


@pytest.mark.parametrize(
    'address',
    [
        'https://example.org/hostile.pth',
        'torchvision://resnet50',
        'open-mmlab://resnet50',
        'mmcls://resnet50',
        's3://bucket/hostile.pth',
    ],
)
def test_what_comes_from_elsewhere_is_not_executed(
    address: str, hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(url: str, target: str, **_: object) -> None:
        assert url == 'https://example.org/hostile.pth'
        shutil.copy(hostile, target)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    known = lambda: dict(resnet50='https://example.org/hostile.pth')  # noqa: E731
    for zoo in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        monkeypatch.setattr(checkpoint, zoo, known)
    monkeypatch.setattr(safe_loading, 'get', lambda address: LocalBackend().get(hostile))
    with pytest.raises(CheckpointError, match=r'refers to pathlib\.(_local\.)?Path'):
        CheckpointLoader.load_checkpoint(address)
    assert not (tmp_path / 'canary').exists()


def test_trust_ends_with_its_block(hostile: Path, tmp_path: Path) -> None:
    def is_run() -> bool:
        try:
            read_checkpoint(hostile)
        except CheckpointError:
            pass
        ran = (tmp_path / 'canary').exists()
        (tmp_path / 'canary').unlink(missing_ok=True)
        return ran

    with trust_checkpoints():
        assert is_run()
        with trust_checkpoints(False):
            assert is_run()
    with trust_checkpoints(False):
        assert not is_run()
    assert not is_run()


def test_the_config_of_an_old_checkpoint_is_kept_as_a_text(tmp_path: Path) -> None:
    torch.save(dict(state_dict={}, meta=dict(config='import os')), tmp_path / 'old.pth')
    assert read_checkpoint(tmp_path / 'old.pth')['meta'] == dict(config_text='import os')


ENCODER = {'stem.weight': torch.ones(1)}
MODEL = {'backbone.stem.weight': torch.ones(1), 'decode_head.conv_seg.bias': torch.ones(1)}


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (dict(state_dict=MODEL, meta=dict(iter=1)), dict(state_dict=MODEL, meta=dict(iter=1))),
        (MODEL, dict(state_dict=MODEL, meta={})),
        (dict(model=MODEL, epoch=3), dict(state_dict=MODEL, meta={}, epoch=3)),
        (dict(state_dict_ema=MODEL), dict(state_dict=MODEL, meta={})),
        (dict(model=dict(state_dict=MODEL)), dict(state_dict=MODEL, meta={})),
        (
            dict(state_dict={f'module.{name}': value for name, value in MODEL.items()}),
            dict(state_dict=MODEL, meta={}),
        ),
        (ENCODER, ENCODER),
        (dict(model=ENCODER), dict(state_dict=ENCODER, meta={})),
    ],
)
def test_wrappers_are_taken_off(content: dict, expected: dict, tmp_path: Path) -> None:
    torch.save(content, tmp_path / 'wrapped.pth')
    assert read_checkpoint(tmp_path / 'wrapped.pth') == expected
