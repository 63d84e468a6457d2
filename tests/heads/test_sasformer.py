"""SASFormer computes what its specification says; there is no release to compare with.

The oracle below writes the reconstruction down once more, without modules and without any of the
head's savings: it attends head by head, resizes before it fuses, and concatenates.
"""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from head_cases import samples
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

CONFIGS = Path(__file__).resolve().parents[2] / 'local_configs' / 'sasformer'
WIDTHS, HEADS, STRIDES = (8, 12, 20, 24), (1, 2, 5, 3), (4, 8, 16, 32)
CHOICES = [
    dict(order=order, source=source, gate=gate, additive=additive)
    for order, source, gate, additive in itertools.product(
        ('coarse_to_fine', 'fine_to_coarse'),
        ('chain', 'accumulate'),
        ('none', 'sigmoid', 'hard_sigmoid'),
        (True, False),
    )
]


def build(**arguments: object) -> nn.Module:
    """Build a small head whose every parameter and statistic matters."""
    cfg = dict(
        type='SASFormerHead',
        in_channels=list(WIDTHS),
        channels=16,
        num_classes=5,
        num_heads=HEADS,
        mlp_ratio=2,
        drop_path_rate=0,
        dropout_ratio=0,
    )
    torch.manual_seed(0)
    head = MODELS.build({**cfg, **arguments}).double()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in head.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if name.endswith('running_var') or (tensor.ndim == 1 and name.endswith('weight')):
                tensor.copy_(1 + 0.3 * noise.abs())
            elif tensor.ndim == 1:
                tensor.copy_(0.3 * noise)
            else:
                tensor.copy_(noise / tensor[0].numel() ** 0.5)
    return head.eval()


def draw_features(
    image: tuple[int, int], widths: Sequence[int] = WIDTHS, strides: Sequence[int] = STRIDES
) -> list[Tensor]:
    """Draw the maps of two images."""
    generator = torch.Generator().manual_seed(2)
    return [
        torch.randn(
            2,
            width,
            *(-(-side // stride) for side in image),
            generator=generator,
            dtype=torch.float64,
        )
        for width, stride in zip(widths, strides, strict=True)
    ]


def oracle(
    state: dict[str, Tensor],
    features: list[Tensor],
    image: tuple[int, int],
    order: str = 'coarse_to_fine',
    source: str = 'chain',
    gate: str = 'sigmoid',
    additive: bool = False,
    num_heads: Sequence[int] = HEADS,
) -> Tensor:
    """Compute the logits by section 4 of the reconstruction."""

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, state[f'{name}.weight'].flatten(1), state.get(f'{name}.bias'))

    def pointwise(name: str, x: Tensor) -> Tensor:
        return linear(name, x.movedim(1, -1)).movedim(-1, 1)

    def layer_norm(name: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        deviation = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / deviation * state[f'{name}.weight'] + state[f'{name}.bias']

    def conv_norm(name: str, x: Tensor) -> Tensor:
        mean, variance, weight, bias = (
            state[f'{name}.bn.{key}'][:, None, None]
            for key in ('running_mean', 'running_var', 'weight', 'bias')
        )
        return (pointwise(f'{name}.conv', x) - mean) / (variance + 1e-5).sqrt() * weight + bias

    def upsample(x: Tensor, size: torch.Size) -> Tensor:
        return F.interpolate(x, size, mode='bilinear', align_corners=False)

    height, width = (-(-side // 64) for side in image)
    levels = range(len(features))

    # 1. Pool.
    pooled = []
    for level in levels:
        x = F.adaptive_avg_pool2d(features[level], (height, width))
        x = pointwise(f'extractor.pooled_projs.{level}', x)
        pooled.append(x.permute(0, 2, 3, 1).reshape(2, height * width, -1))

    # 2. ASE.
    aggregated: list[tuple[int, Tensor]] = []
    for level in reversed(levels) if order == 'coarse_to_fine' else levels:
        name, x = f'extractor.blocks.{level}', pooled[level]
        if not aggregated:
            s = x
        elif source == 'chain':
            s = aggregated[-1][1]
        else:
            s = torch.cat([a for _, a in aggregated] + [x], dim=-1)
        s = layer_norm(f'{name}.attention.source_norm', s)
        query = linear(f'{name}.attention.query', layer_norm(f'{name}.attention.query_norm', x))
        key, value = (linear(f'{name}.attention.{part}', s) for part in ('key', 'value'))
        depth = x.shape[-1] // num_heads[level]
        attended = []
        for head in range(num_heads[level]):
            part = slice(head * depth, (head + 1) * depth)
            scores = query[..., part] @ key[..., part].transpose(1, 2) / depth**0.5
            weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
            attended.append(weights @ value[..., part])
        t = x + linear(f'{name}.attention.proj', torch.cat(attended, dim=-1))
        hidden = linear(f'{name}.ffn.layers.0', layer_norm(f'{name}.ffn_norm', t))
        hidden = F.conv2d(
            hidden.reshape(2, height, width, -1).permute(0, 3, 1, 2),
            state[f'{name}.ffn.layers.1.weight'],
            state[f'{name}.ffn.layers.1.bias'],
            padding=1,
            groups=hidden.shape[-1],
        )
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        a = t + linear(f'{name}.ffn.layers.4', hidden.permute(0, 2, 3, 1).flatten(1, 2))
        aggregated.append((level, a))

    # 3. SCM.
    weighers: dict[str, Callable[[Tensor], Tensor]] = {
        'none': lambda g: g,
        'sigmoid': lambda g: 1 / (1 + (-g).exp()),
        'hard_sigmoid': lambda g: ((g + 3) / 6).clamp(0, 1),
    }
    combined = {}
    for level, a in aggregated:
        x = features[level]
        g = a.reshape(2, height, width, -1).permute(0, 3, 1, 2)
        g = conv_norm(f'combining.{level}.semantics', g)
        e = conv_norm(f'combining.{level}.local', x).clamp(min=0)
        e = e * upsample(weighers[gate](g), x.shape[2:])
        combined[level] = e + upsample(g, x.shape[2:]) if additive else e

    # 4. Fusion.
    x = torch.cat([upsample(combined[level], features[0].shape[2:]) for level in levels], dim=1)
    return pointwise('conv_seg', conv_norm('fusion', x).clamp(min=0))


@pytest.mark.parametrize('choice', CHOICES, ids=lambda choice: '-'.join(map(str, choice.values())))
@pytest.mark.parametrize('image', [(128, 192), (135, 70)])
def test_computes_the_specified_reconstruction(choice: dict, image: tuple[int, int]) -> None:
    head, features = build(**choice), draw_features(image)
    state = dict(head.state_dict())
    with torch.no_grad():
        logits = head(features)
    expected = oracle(state, features, image, **choice)
    assert logits.std() > 0.1
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)


def test_every_choice_computes_something_else() -> None:
    features = draw_features((128, 192))
    with torch.no_grad():
        logits = [build(**choice)(features) for choice in CHOICES]
    for (i, one), (j, other) in itertools.combinations(enumerate(logits), 2):
        assert (one - other).abs().max() > 1e-3, (CHOICES[i], CHOICES[j])


@pytest.mark.parametrize(
    ('widths', 'num_heads'),
    [
        ((32, 64, 160, 256), [1, 2, 5, 8]),  # MiT-B0
        ((64, 128, 320, 512), [1, 2, 5, 8]),  # MiT-B1 to B5
        ((256, 512, 1024, 2048), [8, 16, 32, 64]),  # ResNet-50
        ((96, 192, 384, 768), [3, 6, 12, 24]),  # Swin-T, whose own heads these are
        ((24, 40, 112, 320), [1, 1, 2, 10]),  # EfficientNet-B0: 112 / 3 is no integer
        ((16, 24, 40, 112, 320), [1, 1, 1, 2, 10]),
        ((63, 97, 960), [1, 1, 30]),
        ((128, 320), [4, 10]),
    ],
)
def test_chooses_heads_that_divide_any_widths(widths: tuple, num_heads: list) -> None:
    strides = [2 ** (6 - len(widths) + level) for level in range(len(widths))]
    with torch.device('meta'):
        head = MODELS.build(
            dict(
                type='SASFormerHead',
                in_channels=widths,
                channels=8,
                feature_strides=strides,
                num_classes=3,
            )
        )
    assert [block.attention.num_heads for block in head.extractor.blocks] == num_heads


@pytest.mark.parametrize(
    ('widths', 'strides', 'num_heads'),
    [
        ((12, 8), (8, 16), (3, 1)),
        ((8, 12, 20), (4, 8, 8), (2, 2, 2)),
        ((8,) * 5, (4, 8, 16, 32, 64), (2,) * 5),
    ],
    ids=['two levels', 'dilated', 'five levels'],
)
def test_takes_other_encoders(widths: tuple, strides: tuple, num_heads: tuple) -> None:
    head = build(
        in_channels=widths, feature_strides=strides, num_heads=num_heads, source='accumulate'
    )
    features = draw_features((150, 100), widths, strides)
    expected = oracle(
        dict(head.state_dict()), features, (150, 100), source='accumulate', num_heads=num_heads
    )
    with torch.no_grad():
        torch.testing.assert_close(head(features), expected, rtol=1e-10, atol=1e-10)


def test_drops_either_branch_of_a_block_in_training_only() -> None:
    features = draw_features((128, 192))
    head = build(drop_path_rate=1 - 1e-12)  # as good as always
    whole, without_branches = build(), build()
    for block in without_branches.extractor.blocks:
        for last in (block.attention.proj, block.ffn.layers[4]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
    with torch.no_grad():
        torch.testing.assert_close(head(features), whole(features))
        head.extractor.train()
        torch.testing.assert_close(head(features), without_branches(features))


def test_keeps_its_budget() -> None:
    widths = [32, 64, 160, 256]
    head = MODELS.build(
        dict(type='SASFormerHead', in_channels=widths, channels=128, num_classes=150)
    ).eval()
    assert sum(p.numel() for p in head.parameters()) == 1_603_670  # of 1.7 M

    features = [torch.zeros(1, c, 512 // s, 512 // s) for c, s in zip(widths, STRIDES, strict=True)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head(features)
    assert counter.get_total_flops() / 2 < 1.0e9  # two operations per multiply-accumulate


def test_every_parameter_of_the_head_learns_as_the_released_config_says() -> None:
    config = Config.fromfile(CONFIGS / 'B0/sasformer.b0.512x512.ade.160k.py')
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper.to_dict()).optimizer
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    for name, parameter in model.named_parameters():
        if name.startswith('decode_head.'):
            expected = (6e-4, 0.01)
        else:
            expected = (6e-5, 0.0 if 'norm' in name else 0.01)
        assert settings[id(parameter)] == pytest.approx(expected, rel=1e-12), name


RELEASED = """
    config                                    crop batch classes      seed  mode
    B0/sasformer.b0.512x512.ade.160k.py        512     8     150 413454386 whole
    B0/sasformer.b0.1024x1024.city.160k.py    1024     4      19 601446661 slide
"""


@pytest.mark.parametrize('row', RELEASED.strip().splitlines()[1:], ids=lambda row: row.split()[0])
def test_recipe_is_the_released_one(row: str) -> None:
    path, crop, batch, classes, seed, mode = row.split()
    config = Config.fromfile(CONFIGS / path)
    model, crop = config.model, int(crop)
    crops = [t.crop_size for t in config.train_dataloader.dataset.pipeline if 'crop_size' in t]
    assert crops == [(crop, crop)] == [model.data_preprocessor.size]
    assert config.train_dataloader.batch_size == int(batch)
    assert config.randomness.seed == int(seed)
    assert config.train_cfg == dict(type='IterBasedTrainLoop', max_iters=160000, val_interval=16000)
    assert model.backbone.init_cfg.checkpoint == 'ckpt/mit_b0_20220624-7e0fe6dd.pth'
    head = model.decode_head
    assert (head.num_classes, head.channels, head.dropout_ratio) == (int(classes), 128, 0.1)
    assert (head.in_channels, head.feature_strides) == ([32, 64, 160, 256], [4, 8, 16, 32])
    assert head.norm_cfg.type == 'SyncBN' and not head.align_corners
    assert model.test_cfg.mode == mode
    if mode == 'slide':
        assert model.test_cfg.crop_size == (1024, 1024) and model.test_cfg.stride == (768, 768)
    assert 'auxiliary_head' not in model


def test_trains_two_images_of_one_pooled_pixel() -> None:
    features = [x.float() for x in draw_features((64, 64))]
    head = build().float().train()
    losses = head.loss(features, samples(2, 64, 64, num_classes=5), None)
    assert torch.isfinite(losses['loss_ce'])


def test_metafile_claims_nothing() -> None:
    metafile = load(CONFIGS / 'metafile.yml')
    assert not any(model.get('Results') for model in metafile['Models'])
    (collection,) = metafile['Collections']
    assert collection['Code']['Version'] == 'reconstruction'
