"""The demo, with a network and scenes of a few kilobytes."""

from pathlib import Path

import pytest
from PIL import Image
from tiny_run import forget_visualizers, load_tool

from segheads.datasets import SyntheticScenes

demo = load_tool('demo')

CONFIG = """
_base_ = ['{base}']
model = dict(
    data_preprocessor=dict(size=(32, 32)),
    backbone=dict(embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4),
    decode_head=dict(in_channels=[8] * 4, channels=8),
)
scenes = dict(length=3, size=(32, 48))
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomCrop', crop_size=(32, 32)),
            dict(type='PackSegInputs'),
        ],
        **scenes,
    ),
)
test_dataloader = dict(num_workers=0, persistent_workers=False, dataset=scenes)
param_scheduler = []
train_cfg = dict(max_iters=2)
"""


def test_trains_evaluates_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    forget_visualizers()
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.format(base=demo.CONFIG))
    monkeypatch.setattr(demo, 'CONFIG', config)

    demo.main(['--work-dir', str(tmp_path / 'run'), '--scenes', '2'])

    printed = ''.join(capfd.readouterr())
    picture = tmp_path / 'run' / 'scenes.png'
    assert str(picture) in printed
    for name in ('vehicle', 'mIoU'):
        assert name in printed
    with Image.open(picture) as image:
        colours = {colour for _, colour in image.convert('RGB').getcolors(1 << 24)}
    ground = tuple(SyntheticScenes.METAINFO['palette'][1])
    assert ground in colours
