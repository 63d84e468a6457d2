"""EfficientFormerV2 computes what the authors' segmentation encoder computes, at any size."""

import copy
import pickle
import sys
from pathlib import Path

import pytest
import timm
import torch
from golden import assert_matches, features, fill, load_case
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from safetensors.torch import save_file
from torch import Tensor, nn

from segheads.backbones import EfficientFormerV2


def released_shapes(encoder: EfficientFormerV2) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the authors' encoder, including what it never uses."""
    shapes = {}
    for key, tensor in encoder.state_dict().items():
        key = encoder.released_keys.released_key(key)
        shapes[key] = (*tensor.shape, 1, 1) if 'layer_scale' in key else tuple(tensor.shape)
        if key.endswith('attention_biases_seg'):
            shapes[key.removesuffix('_seg')] = (8, 49)
            shapes[key.replace('biases', 'bias_idxs')] = (256, 256)
            shapes[key.replace('biases_seg', 'bias_idxs')] = (49, 49)
    return shapes


def golden_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Weights of the well-conditioned cases."""
    state = fill(shapes)
    for key, tensor in state.items():
        if key.endswith('talking_head2.bias'):
            tensor.zero_()
        if key.endswith(('layer_scale_1', 'layer_scale_2')):
            tensor.mul_(0.1)
    return state


def randomized(module: nn.Module) -> nn.Module:
    """Leave no parameter at a value that hides what it does."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@pytest.mark.parametrize('size', ['128x160', '512x512'])
def test_matches_the_release(size: str) -> None:
    case = load_case(f'efficientformerv2-s1-tame-{size}')
    encoder = EfficientFormerV2('S1').eval()
    encoder.load_state_dict(golden_state(released_shapes(encoder)), strict=True)
    with torch.no_grad():
        outputs = encoder(*features(case['input_shapes'], tag='image'))
    for stage, (output, scale) in enumerate(zip(outputs, case['absmax'], strict=True)):
        if f'stage{stage}' in case['samples']:
            assert_matches(case, f'stage{stage}', output, atol=2e-5 * scale)


def test_a_whole_released_model_loads_and_matches() -> None:
    case = load_case('cgrseg-t-150-full-128x160')
    head = dict(in_channels=[48, 120, 224], in_index=[1, 2, 3], channels=128, num_classes=150)
    model = MODELS.build(
        dict(
            type='EncoderDecoder',
            backbone=dict(type='EfficientFormerV2', arch='S1'),
            decode_head=dict(type='CGRSegHead', **head),
        )
    ).eval()
    shapes = {f'backbone.{k}': shape for k, shape in released_shapes(model.backbone).items()}
    for key, tensor in model.decode_head.state_dict().items():
        released = model.decode_head.released_keys.released_key(key)
        shapes[f'decode_head.{released}'] = tuple(tensor.shape)
    model.load_state_dict(golden_state(shapes), strict=True)
    with torch.no_grad():
        logits = model.decode_head(model.backbone(*features(case['input_shapes'], tag='image')))
    assert_matches(case, 'eval_logits', logits, atol=1e-5)


@pytest.mark.parametrize(
    ('arch', 'widths', 'parameters', 'largest_drop_path'),
    [
        ('S0', (32, 48, 96, 176), None, 0),
        ('S1', (32, 48, 120, 224), 5_748_360, 0),
        ('S2', (32, 64, 144, 288), 12_151_408, 0.02),
        ('L', (40, 80, 192, 384), 25_578_016, 0.1),
    ],
)
def test_architectures(
    arch: str, widths: tuple[int, ...], parameters: int | None, largest_drop_path: float
) -> None:
    encoder = EfficientFormerV2(arch)
    with torch.no_grad():
        outputs = encoder.eval()(torch.zeros(1, 3, 64, 32))
    assert [tuple(x.shape) for x in outputs] == [
        (1, width, 64 // stride, 32 // stride)
        for width, stride in zip(widths, (4, 8, 16, 32), strict=True)
    ]
    if parameters:
        assert sum(p.numel() for p in encoder.parameters()) == parameters
    last_block = encoder.stages[3].blocks[-1]
    assert getattr(last_block.drop_path2, 'drop_prob', 0) == pytest.approx(largest_drop_path)


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (49, 81), (64, 683), (200, 264), (232, 168)])
def test_takes_any_size(size: tuple[int, int]) -> None:
    encoder = randomized(EfficientFormerV2('S0')).train()
    outputs = encoder(torch.randn(2, 3, *size))
    for output, stride in zip(outputs, (4, 8, 16, 32), strict=True):
        assert output.shape[2:] == tuple(-(-side // stride) for side in size)
        assert torch.isfinite(output).all()
    sum(output.square().mean() for output in outputs).backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_norms_train() -> None:
    encoder = EfficientFormerV2('S0')
    assert encoder.eval() is encoder and encoder.train() is encoder
    norms = [module for module in encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    encoder(torch.randn(2, 3, 64, 64))
    assert all(norm.weight.requires_grad for norm in norms)
    assert not any(torch.equal(n.running_mean, b) for n, b in zip(norms, before, strict=True))


def test_synchronised_norms_compute_the_same() -> None:
    """timm's norms contain activations, which exchanging the norms must not lose."""
    image = torch.randn(1, 3, 64, 96)
    encoder = randomized(EfficientFormerV2('S0')).eval()
    synchronised = EfficientFormerV2('S0', norm_cfg=dict(type='SyncBN')).eval()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in synchronised.modules())
    synchronised.load_state_dict(encoder.state_dict())
    for twin in (
        synchronised,
        revert_sync_batchnorm(copy.deepcopy(synchronised)),
        revert_sync_batchnorm(nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(encoder))),
    ):
        assert torch.equal(twin(image)[3], encoder(image)[3])


def test_copies_and_later_weights_count() -> None:
    image = torch.randn(1, 3, 64, 64)
    encoder = randomized(EfficientFormerV2('S0')).eval()
    expected = encoder(image)[3]
    other = EfficientFormerV2('S0').eval()
    assert not torch.equal(other(image)[3], expected)
    other.load_state_dict(encoder.state_dict())
    for twin in (other, copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert torch.equal(twin(image)[3], expected)


def test_an_exported_attention_takes_every_size() -> None:
    attention = randomized(EfficientFormerV2('S0')).eval().stages[3].blocks[-1].token_mixer
    dynamic = torch.export.Dim.DYNAMIC
    exported = torch.export.export(
        attention,
        (torch.randn(2, 176, 5, 7),),
        dynamic_shapes=({0: dynamic, 2: dynamic, 3: dynamic},),
    ).module()
    for size in ((6, 10), (13, 17), (16, 16)):  # the last needs no resizing of position biases
        x = torch.randn(1, 176, *size)
        torch.testing.assert_close(exported(x), attention(x))


class TestImageNetWeights:
    """Weights of classifiers, by the authors and by timm, start a segmentation encoder."""

    @pytest.fixture(scope='class')
    def classifier(self) -> nn.Module:
        return randomized(timm.create_model('efficientformerv2_s0'))

    def assert_starts_from(self, encoder: EfficientFormerV2, classifier: nn.Module) -> None:
        weights = classifier.state_dict()
        for key, tensor in encoder.state_dict().items():
            if key.endswith('attention_biases'):
                assert torch.all(tensor == 0), key
            else:
                assert torch.equal(tensor, weights[key]), key

    def test_the_authors_file(self, classifier: nn.Module, tmp_path: Path) -> None:
        released_key = EfficientFormerV2('S0').released_keys.released_key
        weights = {}
        for key, tensor in classifier.state_dict().items():
            key = released_key(key).replace('head_dist', 'dist_head')
            key = key.replace('attention_biases_seg', 'attention_biases')
            weights[key] = tensor[:, None, None] if 'layer_scale' in key else tensor
        assert {'norm.weight', 'head.weight', 'dist_head.bias'} < set(weights)
        path = tmp_path / 'eformer_s0_450.pth'
        torch.save(dict(model=weights, epoch=449), path)
        encoder = EfficientFormerV2('S0', init_cfg=dict(type='Pretrained', checkpoint=str(path)))
        encoder.init_weights()
        self.assert_starts_from(encoder, classifier)

    @pytest.mark.parametrize('name', ['pytorch_model.bin', 'model.safetensors'])
    def test_a_file_of_timm(self, classifier: nn.Module, tmp_path: Path, name: str) -> None:
        path = str(tmp_path / name)
        save = save_file if name.endswith('.safetensors') else torch.save
        save(classifier.state_dict(), path)
        encoder = EfficientFormerV2('S0', init_cfg=dict(type='Pretrained', checkpoint=path))
        encoder.init_weights()
        self.assert_starts_from(encoder, classifier)

    def test_the_hub_of_timm(self, classifier: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
        encoder = EfficientFormerV2('S0', pretrained=True)
        asked_for = []

        def download(name: str, pretrained: bool) -> nn.Module:
            asked_for.append((name, pretrained))
            return classifier

        monkeypatch.setattr(timm, 'create_model', download)
        encoder.init_weights()
        assert asked_for == [('efficientformerv2_s0.snap_dist_in1k', True)]
        self.assert_starts_from(encoder, classifier)

    def test_the_hub_without_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        encoder = EfficientFormerV2('S0', pretrained=True)

        def fail(*_: object, **__: object) -> None:
            raise OSError('no route to host')

        monkeypatch.setattr(timm, 'create_model', fail)
        with pytest.raises(RuntimeError, match=r'cannot be downloaded \(no route to host\)'):
            encoder.init_weights()

    def test_a_missing_weight_is_reported(self, classifier: nn.Module) -> None:
        weights = classifier.state_dict()
        del weights['stages.1.blocks.0.mlp.fc1.conv.weight']
        result = EfficientFormerV2('S0').load_state_dict(weights, strict=False)
        missing = [key for key in result.missing_keys if not key.endswith('attention_biases')]
        assert missing == ['stages.1.blocks.0.mlp.fc1.conv.weight']
        assert not result.unexpected_keys

    def test_without_them(self) -> None:
        torch.manual_seed(0)
        encoder = EfficientFormerV2('S0')
        encoder.init_weights()
        mlp = encoder.stages[2].blocks[-1].mlp
        assert mlp.fc1.conv.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert mlp.fc2.conv.bias.abs().max() == 0
        assert mlp.mid.conv.bias.abs().max() > 0  # PyTorch's default


def test_explains_bad_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"arch must be one of .*'S1'.* but is 'T'"):
        EfficientFormerV2('T')
    with pytest.raises(ValueError, match='either pretrained=True'):
        EfficientFormerV2(pretrained=True, init_cfg=dict(type='Pretrained', checkpoint='x.pth'))
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(ImportError, match='pip install timm'):
        EfficientFormerV2('S0')
