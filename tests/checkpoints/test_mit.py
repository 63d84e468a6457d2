"""NVIDIA's MiT files load into MMSegmentation's encoder as they are."""

from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS
from nvidia_mit import in_nvidias_names
from torch import Tensor, nn
from torch.nn import functional

HEADS = 2


def build(**settings: object) -> nn.Module:
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='MixVisionTransformer',
            embed_dims=8,
            num_layers=[2, 1, 1, 1],
            num_heads=[HEADS, 1, 1, 1],
            sr_ratios=[2, 1, 1, 1],
            **settings,
        )
    )


def attend(weights: dict[str, Tensor], tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """The attention of SegFormer's paper with spatial reduction, in plain PyTorch."""

    def linear(name: str, x: Tensor) -> Tensor:
        return functional.linear(x, weights[f'{name}.weight'], weights[f'{name}.bias'])

    def split_heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

    image = tokens.transpose(1, 2).unflatten(2, size)
    reduced = functional.conv2d(image, weights['sr.weight'], weights['sr.bias'], stride=2)
    reduced = reduced.flatten(2).transpose(1, 2)
    reduced = functional.layer_norm(
        reduced, reduced.shape[-1:], weights['norm.weight'], weights['norm.bias'], eps=1e-6
    )
    query = split_heads(linear('q', tokens))
    key, value = map(split_heads, linear('kv', reduced).chunk(2, dim=-1))
    scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5
    return linear('proj', (scores.softmax(-1) @ value).transpose(1, 2).flatten(2))


@pytest.fixture
def encoder() -> nn.Module:
    encoder = build().eval()
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.2)
    return encoder


def test_queries_keys_and_values_go_where_they_belong(encoder: nn.Module) -> None:
    released = in_nvidias_names(encoder)
    attention = encoder.layers[0][1][0].attn
    prefix = 'block1.0.attn.'
    weights = {k[len(prefix) :]: v for k, v in released.items() if k.startswith(prefix)}
    tokens, size = torch.randn(2, 24, 8 * HEADS), (4, 6)
    # MMSegmentation adds the shortcut inside.
    ours = attention(tokens, size) - tokens
    torch.testing.assert_close(ours, attend(weights, tokens, size), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_loads_strictly_and_computes_the_same(prefix: str, encoder: nn.Module) -> None:
    released = {prefix + name: weight for name, weight in in_nvidias_names(encoder).items()}
    fresh = build().eval()
    target = nn.ModuleDict(dict(backbone=fresh)) if prefix else fresh
    target.load_state_dict(released, strict=True)
    image = torch.randn(1, 3, 32, 48)
    for theirs, ours in zip(encoder(image), fresh(image), strict=True):
        assert torch.equal(theirs, ours)
    target.load_state_dict(target.state_dict(), strict=True)


def test_init_cfg_reads_the_file_as_it_is(encoder: nn.Module, tmp_path: Path) -> None:
    torch.save(in_nvidias_names(encoder), tmp_path / 'mit_b0.pth')
    fresh = build(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'mit_b0.pth')))
    fresh.init_weights()
    for name, weight in encoder.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], weight), name
