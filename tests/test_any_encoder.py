"""Every head behind every encoder, with no widths given; and the configs of the docs page."""

import importlib
import re
from pathlib import Path

import pytest
import torch
from head_cases import samples
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.utils import digit_version
from mmseg.registry import MODELS
from tiny_encoders import BATCH_NORM, ENCODERS, IMAGE_SIZES, NECKS
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'any_encoder.md'
CONFIGS = ROOT / 'local_configs'
BINS = ((2, 2), (4, 4))
COMMON = dict(channels=16, num_classes=5, norm_cfg=BATCH_NORM)
COARSE_STAGE = dict(COMMON, type='FCNHead', in_index=-2, num_convs=1, concat_input=False)
HEADS = {
    'CCASeg': dict(COMMON, type='CCASegHead', num_blocks=1),
    'SASFormer': dict(COMMON, type='SASFormerHead'),
    'CCSNet': [COARSE_STAGE, dict(COMMON, type='CCSNetHead', top_k=3)],
    'CGRSeg': dict(COMMON, type='CGRSegHead', in_index=[-3, -2, -1], num_context_blocks=1),
    'PCAA': dict(
        COMMON, type='PCAAHead', in_index=[-3, -2, -1], input_transform='resize_concat', bins=BINS
    ),
}


def build(**model: object) -> nn.Module:
    """Build a segmentor around heads, one or a cascade."""
    cascade = isinstance(model['decode_head'], list)
    kind = 'LeanCascadeEncoderDecoder' if cascade else 'LeanEncoderDecoder'
    stages = dict(num_stages=len(model['decode_head'])) if cascade else {}
    return MODELS.build(dict(dict(type=kind, test_cfg=ConfigDict(mode='whole'), **stages), **model))


def train_and_predict(model: nn.Module, num_classes: int, size: tuple[int, int] = (64, 64)) -> None:
    """Check that a training step has a finite loss, and that a prediction has the image's size."""
    torch.manual_seed(0)
    model.init_weights()
    images = torch.randn(2, 3, *size)
    losses = model.train().loss(images, samples(2, *size, num_classes))
    loss = sum(value.sum() for name, value in losses.items() if 'loss' in name)
    assert torch.isfinite(loss)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    with torch.no_grad():
        result = model.eval().predict(images)
    assert result[0].pred_sem_seg.data.shape == (1, *size)


def require_package_of(encoder: str, model_name: str = '') -> None:
    """Skip the test where the package that has an encoder is not installed, or is too old."""
    if encoder in ('EfficientFormerV2', 'TIMMBackbone'):
        timm = pytest.importorskip('timm')
        if model_name.startswith('vit_') and digit_version(timm.__version__) < digit_version('1.0'):
            pytest.skip('features_only of plain vision transformers came with timm 1.0')
    if encoder.startswith('mmpretrain.'):
        try:
            importlib.import_module('mmpretrain.models')
        except (ImportError, TypeError) as error:  # TypeError: beside transformers 5
            pytest.skip(f'mmpretrain is not installed, or not importable: {error}')


@pytest.mark.parametrize('encoder', ENCODERS)
@pytest.mark.parametrize('head', HEADS)
def test_trains_and_predicts_without_widths(head: str, encoder: str) -> None:
    backbone = ENCODERS[encoder]
    require_package_of(backbone['type'], backbone.get('model_name', ''))
    init_default_scope('mmseg')
    model = build(backbone=backbone, neck=NECKS.get(encoder), decode_head=HEADS[head])
    train_and_predict(model, num_classes=5, size=IMAGE_SIZES.get(encoder, (64, 64)))


def page_configs() -> list[str]:
    """Python blocks of the docs page; each is a config."""
    return re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)


@pytest.mark.parametrize('text', page_configs(), ids=range(len(page_configs())))
def test_configs_of_the_docs_page_run(text: str) -> None:
    for name in re.findall(r"type='(TIMMBackbone|EfficientFormerV2|mmpretrain\.\w+)'", text):
        require_package_of(name)
    init_default_scope('mmseg')
    # Weights would be downloaded, and `_base_` is relative to a folder in `local_configs`.
    text = text.replace('(512, 512)', '(128, 128)').replace('(256, 256)', '(64, 64)')
    text = text.replace('pretrained=True', 'pretrained=False')
    text = text.replace('../_base_', f'{CONFIGS.as_posix()}/_base_')
    model = MODELS.build(Config.fromstring(text, '.py').model)
    train_and_predict(model, model.num_classes, size=(128, 128))
