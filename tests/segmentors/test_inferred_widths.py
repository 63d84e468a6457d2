import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from tiny_run import sentence
from torch import nn

WIDTHS = [8, 16, 24, 32]
BACKBONE = dict(
    type='MSCAN',
    embed_dims=WIDTHS,
    mlp_ratios=[2] * 4,
    depths=[1] * 4,
    drop_path_rate=0.5,
    norm_cfg=dict(type='BN'),
)
HEAD = dict(type='CCASegHead', channels=8, num_blocks=1, num_classes=3)
SASFORMER = dict(type='SASFormerHead', channels=8, num_classes=3, num_heads=(1, 1, 1, 1))
SASFORMER_OF_TWO = dict(SASFORMER, num_heads=None)


def build(backbone: dict = BACKBONE, head: dict = HEAD, **others: object) -> nn.Module:
    """Build a segmentor."""
    init_default_scope('mmseg')
    return MODELS.build(
        dict(dict(type='LeanEncoderDecoder', backbone=backbone, decode_head=head), **others)
    )


@pytest.mark.parametrize(
    'arguments, expected',
    [
        (dict(), WIDTHS),
        (dict(in_index=[1, 2, 3]), WIDTHS[1:]),
        (dict(in_index=(0, -1)), [8, 32]),
        (dict(in_channels=None), WIDTHS),
        (dict(in_channels=WIDTHS[:3]), WIDTHS[:3]),
        (dict(in_channels=tuple(WIDTHS)), tuple(WIDTHS)),
    ],
)
def test_takes_the_widths_of_the_levels(arguments: dict, expected: object) -> None:
    assert build(head=dict(HEAD, **arguments)).decode_head.in_channels == expected


def test_takes_the_last_level_where_mmsegmentation_does() -> None:
    fcn = dict(type='FCNHead', channels=8, num_classes=3)
    model = build(head=fcn, auxiliary_head=[dict(fcn, in_index=1), dict(fcn, in_index=-2)])
    assert model.decode_head.in_channels == 32
    assert [head.in_channels for head in model.auxiliary_head] == [16, 24]


def test_takes_the_widths_of_a_cascade() -> None:
    init_default_scope('mmseg')
    heads = [
        dict(type='FCNHead', in_index=2, channels=8, num_classes=3),
        dict(type='CCSNetHead', channels=8, num_classes=3),
    ]
    model = MODELS.build(
        dict(type='LeanCascadeEncoderDecoder', num_stages=2, backbone=BACKBONE, decode_head=heads)
    )
    assert [head.in_channels for head in model.decode_head] == [24, WIDTHS]


def test_asks_the_neck_where_there_is_one() -> None:
    neck = dict(type='FPN', in_channels=WIDTHS, out_channels=12, num_outs=4)
    assert build(neck=neck).decode_head.in_channels == [12] * 4
    text = sentence(build, head=dict(HEAD, in_channels=WIDTHS), neck=neck)
    assert 'the encoder FPN yields [12, 12, 12, 12]' in text


def test_knows_images_of_more_than_three_channels() -> None:
    resnet = dict(type='ResNetV1c', depth=18, in_channels=5, base_channels=8)
    assert build(backbone=resnet).decode_head.in_channels == [8, 16, 32, 64]


def test_takes_the_strides_of_a_dilated_encoder() -> None:
    resnet = dict(type='ResNetV1c', depth=18, base_channels=8)
    dilated = dict(resnet, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    assert build(backbone=resnet, head=SASFORMER).decode_head.pool_factor == 2
    assert build(backbone=dilated, head=SASFORMER).decode_head.pool_factor == 8
    text = sentence(build, dilated, dict(SASFORMER, feature_strides=[4, 8, 16, 32]))
    assert 'feature_strides is [4, 8, 16, 32], but' in text
    assert 'ResNetV1c yields [4, 8, 8, 8]' in text


def test_builds_what_mmsegmentation_builds() -> None:
    resnet = dict(type='ResNetV1c', depth=18, base_channels=8, frozen_stages=1)
    models = []
    for kind, given in (('EncoderDecoder', dict(in_channels=[8, 16, 32, 64])), ('Lean', {})):
        torch.manual_seed(0)
        kind = kind.replace('Lean', 'LeanEncoderDecoder')
        models.append(build(resnet, dict(HEAD, **given), type=kind))
    theirs, ours = models
    state = ours.state_dict()
    assert state.keys() == theirs.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in theirs.state_dict().items())
    assert [m.training for m in ours.modules()] == [m.training for m in theirs.modules()]


def test_leaves_configs_alone() -> None:
    backbone, head = ConfigDict(BACKBONE), ConfigDict(HEAD)
    build(backbone, head)
    assert backbone == BACKBONE
    assert head == HEAD


@pytest.mark.parametrize(
    'head, message',
    [
        (
            dict(HEAD, in_channels=[8, 16, 24, 64]),
            'CCASegHead: in_channels is [8, 16, 24, 64], but the encoder MSCAN yields '
            '[8, 16, 24, 32] at in_index=[0, 1, 2, 3]; correct one of them, or leave in_channels '
            'out to take what the encoder yields',
        ),
        (
            dict(type='PCAAHead', channels=8, num_classes=3, in_channels=64),
            'PCAAHead: in_channels is 64, but the encoder MSCAN yields 32 at in_index=-1',
        ),
        (
            dict(HEAD, in_index=[1, 2, 4]),
            'CCASegHead: in_index has 4, but the encoder MSCAN yields 4 maps; choose from 0 to 3',
        ),
        (
            dict(HEAD, in_index=[3, 2, 1]),
            'CCASegHead: in_index=[3, 2, 1] chooses maps of the encoder MSCAN with the strides '
            '[32, 16, 8]; list them from fine to coarse',
        ),
    ],
)
def test_explains_what_does_not_fit(head: dict, message: str) -> None:
    assert message in sentence(build, head=head)


@MODELS.register_module()
class FixedSizeEncoder(nn.Module):
    """An encoder for images of one size only, 96x128 by default."""

    def __init__(self, size: tuple[int, int] = (96, 128), **attributes: object) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.size = size
        self.conv.__dict__.update(attributes)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Encode."""
        if x.shape[2:] != self.size:
            raise RuntimeError(f'only {self.size}')
        return [self.conv(x), self.conv(x)]


@MODELS.register_module()
class ChannelsLastEncoder(nn.Module):
    """An encoder with channels in the last dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Encode."""
        return [self.conv(x).permute(0, 2, 3, 1)] * 2


def test_needs_the_widths_of_an_encoder_that_it_cannot_run() -> None:
    encoder = dict(type='FixedSizeEncoder')
    text = sentence(build, backbone=encoder)
    assert 'in_channels cannot be taken from the encoder FixedSizeEncoder' in text
    assert 'on an image of 224x224 (only (96, 128)); give in_channels' in text
    assert build(encoder, dict(HEAD, in_channels=[8, 8])).decode_head.in_channels == [8, 8]


@pytest.mark.parametrize(
    'size, attributes',
    [
        ((96, 128), dict(img_size=(96, 128))),
        ((90, 130), dict(img_size=[90, 130])),
        ((96, 96), dict(img_size=96)),
        ((224, 224), dict()),
    ],
)
def test_runs_an_encoder_of_one_size_on_an_image_of_that_size(size, attributes) -> None:
    encoder = dict(type='FixedSizeEncoder', size=size, **attributes)
    assert build(backbone=encoder).decode_head.in_channels == [8, 8]
    assert build(encoder, SASFORMER_OF_TWO).decode_head.pool_factor == 16
    text = sentence(build, backbone=encoder, head=dict(HEAD, in_channels=[8, 16]))
    assert 'in_channels is [8, 16], but the encoder FixedSizeEncoder yields [8, 8]' in text


def test_notices_channels_in_the_last_dimension() -> None:
    text = sentence(build, backbone=dict(type='ChannelsLastEncoder'))
    assert 'map 0 of the encoder ChannelsLastEncoder has the shape (1, 16, 16, 8)' in text
