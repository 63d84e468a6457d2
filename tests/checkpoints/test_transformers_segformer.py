"""Files of transformers' SegFormer load as they are; transformers itself says what is right."""

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmseg.registry import MODELS
from tiny_run import ROOT, command, sentence
from torch import nn

import segheads
from segheads.checkpoints.fit import load_weights

transformers = pytest.importorskip('transformers')

WIDTHS = [8, 16, 24, 32]
HEADS = [1, 2, 3, 4]
# transformers divides by the deviation with 1e-5 added, where MMSegmentation adds 1e-6.
NORM = dict(type='LN', eps=1e-5)
TOLERANCE = dict(rtol=1e-5, atol=1e-5)


@pytest.fixture(scope='module')
def theirs() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.SegformerConfig(
        depths=[2, 1, 1, 1],
        hidden_sizes=WIDTHS,
        num_attention_heads=HEADS,
        decoder_hidden_size=16,
        num_labels=5,
    )
    model = transformers.SegformerForSemanticSegmentation(config).eval()
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            # What starts as ones and zeros must be told apart, too.
            shift = 1.0 if re.search(r'norm\w*\.\w*(weight|var)', name) else 0.0
            tensor.copy_(torch.rand_like(tensor) * 0.2 - 0.1 + shift)
    return model


@pytest.fixture(scope='module')
def folder(theirs: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the model in one file, in parts, in memory's names and without its head."""
    folder = tmp_path_factory.mktemp('transformers')
    theirs.save_pretrained(folder / 'one')
    theirs.save_pretrained(folder / 'parts', max_shard_size='20KB')
    assert len(list((folder / 'parts').glob('*.safetensors'))) > 2
    torch.save(theirs.state_dict(), folder / 'memory.pth')
    theirs.segformer.save_pretrained(folder / 'encoder')
    torch.save(theirs.segformer.state_dict(), folder / 'encoder.pth')
    return folder


def mit(**settings: object) -> dict:
    return dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_layers=[2, 1, 1, 1],
        num_heads=HEADS,
        norm_cfg=NORM,
        **settings,
    )


def segformer(**settings: object) -> dict:
    head = dict(
        type='SegformerHead',
        in_channels=WIDTHS,
        in_index=[0, 1, 2, 3],
        channels=16,
        num_classes=5,
        norm_cfg=dict(type='BN'),
        act_cfg=None,
    )
    return dict(
        type='EncoderDecoder',
        backbone=mit(),
        decode_head=dict(head, **settings),
        test_cfg=ConfigDict(mode='whole'),
    )


@pytest.mark.parametrize(
    'file',
    ['one', 'one/model.safetensors', 'parts', 'parts/model.safetensors.index.json', 'memory.pth']
    + ['encoder', 'encoder.pth'],
)
def test_the_encoder_computes_the_same(file: str, theirs: nn.Module, folder: Path) -> None:
    init = dict(type='Pretrained', checkpoint=str(folder / file))
    encoder = MODELS.build(mit(init_cfg=init)).eval()
    encoder.init_weights()
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        expected = theirs.segformer(image, output_hidden_states=True).hidden_states
        features = encoder(image)
    assert len(expected) == len(features) == 4
    for ours, other in zip(features, expected, strict=True):
        torch.testing.assert_close(ours, other, **TOLERANCE)


@pytest.mark.parametrize('norm_cfg', [dict(type='BN'), dict(type='SyncBN')])
@pytest.mark.parametrize('file', ['one', 'parts', 'memory.pth'])
def test_a_whole_segformer_computes_the_same(file, norm_cfg, theirs, folder) -> None:
    model = MODELS.build(segformer(norm_cfg=norm_cfg)).eval()
    load_weights(model, str(folder / file))
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        if norm_cfg['type'] == 'SyncBN':
            from mmengine.model import revert_sync_batchnorm

            model = revert_sync_batchnorm(model)
        features = theirs.segformer(image, output_hidden_states=True).hidden_states
        torch.testing.assert_close(
            model.decode_head(model.backbone(image)), theirs(image).logits, **TOLERANCE
        )
        torch.testing.assert_close(
            model.decode_head(features), theirs.decode_head(features), **TOLERANCE
        )
    load_weights(model, str(folder / file))  # and a second time


def test_a_head_that_computes_something_else_is_refused(folder: Path) -> None:
    model = MODELS.build(segformer(act_cfg=dict(type='ReLU')))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert 'act_cfg=None' in sentence(load_weights, model, str(folder / 'one'))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    model = MODELS.build(segformer(norm_cfg=dict(type='GN', num_groups=2)))
    assert 'batch norms' in sentence(load_weights, model, str(folder / 'one'))


def test_load_takes_the_encoder_for_any_head(cfg, folder: Path, theirs: nn.Module) -> None:
    cfg.model.backbone = mit()
    cfg.model.decode_head.in_channels = WIDTHS
    with pytest.warns(UserWarning, match='weights of the head are random'):
        model = segheads.load(cfg, pretrained=folder / 'one', device='cpu')
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = theirs.segformer(image, output_hidden_states=True).hidden_states[-1]
        torch.testing.assert_close(model.backbone(image)[-1], expected, **TOLERANCE)
    torch.save(model.state_dict(), 'whole.pth')
    told = sentence(segheads.load, cfg, 'whole.pth', pretrained=True, device='cpu')
    assert 'leave pretrained out' in told


@pytest.mark.parametrize('file', ['one', 'memory.pth', 'encoder'])
def test_convert_writes_the_encoder_in_our_names(file: str, folder: Path, tmp_path: Path) -> None:
    command('convert')([str(folder / file), str(tmp_path / 'mit.pth')])
    weights = torch.load(tmp_path / 'mit.pth', weights_only=True)
    encoder = MODELS.build(mit())
    encoder.load_state_dict(weights.get('state_dict', weights), strict=True)


def test_the_config_of_the_page_takes_a_file_of_its_size(tmp_path: Path) -> None:
    page = (ROOT / 'docs' / 'weights.md').read_text(encoding='utf-8')
    (block,) = [
        text for text in re.findall(r'```python\n(.*?)```', page, re.DOTALL) if 'size=' in text
    ]
    config = transformers.SegformerConfig(num_labels=150)
    theirs = transformers.SegformerForSemanticSegmentation(config).eval()
    theirs.save_pretrained(tmp_path / 'file')
    model = segheads.load(Config.fromstring(block, '.py'), tmp_path / 'file', device='cpu')
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours = model.decode_head(model.backbone(image))
        torch.testing.assert_close(ours, theirs(image).logits, **TOLERANCE)
