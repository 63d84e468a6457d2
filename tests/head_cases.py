"""The registered heads, each in a small size that keeps its structure.

A new head joins the contract of ``test_contract.py`` by adding an entry to ``HEADS``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn


@dataclass(frozen=True)
class HeadCase:
    """What the contract has to know of a head.

    Args:
        cfg (dict): A small configuration, all but ``num_classes``.
        widths (Sequence[int]): Widths of the backbone outputs, at strides 4, 8, 16 and 32.
        configs (str): Pattern of its leaf configs, relative to ``local_configs``.
        bad_arguments (Sequence[tuple[dict, str]]): Arguments that must be refused, with a pattern
            of the message.
        without_gradient (Sequence[str]): Parameters that take no part in the loss; say why.
    """

    cfg: dict
    widths: Sequence[int]
    configs: str
    bad_arguments: Sequence[tuple[dict, str]]
    without_gradient: Sequence[str] = field(default=())

    def build(self, num_classes: int = 5, **overrides: object) -> nn.Module:
        """Build the head with reproducible weights."""
        torch.manual_seed(0)
        head = MODELS.build({**self.cfg, 'num_classes': num_classes, **overrides})
        head.init_weights()
        return head

    def inputs(self, batch: int, height: int, width: int) -> list[Tensor]:
        """Draw the feature maps of images of the given size."""
        generator = torch.Generator().manual_seed(batch * height * width)
        return [
            torch.randn(
                batch, channels, -(-height // stride), -(-width // stride), generator=generator
            )
            for channels, stride in zip(self.widths, (4, 8, 16, 32), strict=True)
        ]


def samples(batch: int, height: int, width: int, num_classes: int) -> list[SegDataSample]:
    """Draw labels, some of them ignored."""
    generator = torch.Generator().manual_seed(height * width)
    label = torch.randint(0, num_classes, (batch, 1, height, width), generator=generator)
    label[..., :3] = 255
    return [SegDataSample(gt_sem_seg=PixelData(data=one)) for one in label]


MULTI_LEVEL_ERRORS = (
    (dict(in_channels=16, in_index=None), 'in_channels must list the widths'),
    (dict(in_index=[0, 1]), 'in_index must list one backbone output per entry'),
    (dict(in_index=2), 'in_index must list one backbone output per entry'),
)

HEADS = {
    'ccaseg-mit': HeadCase(
        cfg=dict(type='CCASegHead', in_channels=[8, 12, 16, 20], channels=16, num_blocks=2),
        widths=(8, 12, 16, 20),
        configs='ccaseg/B*/*.py',
        bad_arguments=(
            *MULTI_LEVEL_ERRORS,
            (dict(num_blocks=0), 'num_blocks must be at least 1, but is 0'),
            (dict(out_level=4), r'out_level must be one of the 4 levels .* but is 4'),
            (dict(embed_dim=16), 'unexpected keyword argument'),
        ),
    ),
    'ccaseg-mscan': HeadCase(
        cfg=dict(
            type='CCASegHead',
            in_channels=[12, 16, 20],
            in_index=[1, 2, 3],
            channels=16,
            num_blocks=2,
            out_level=0,
        ),
        widths=(8, 12, 16, 20),
        configs='ccaseg/[!B]*/*.py',
        bad_arguments=((dict(out_level=-1), 'out_level must be one of the 3 levels'),),
    ),
    'cgrseg': HeadCase(
        cfg=dict(
            type='CGRSegHead',
            in_channels=[12, 16, 20],
            in_index=[1, 2, 3],
            channels=16,
            num_context_blocks=2,
        ),
        widths=(8, 12, 16, 20),
        configs='cgrseg/*.py',
        bad_arguments=(
            *MULTI_LEVEL_ERRORS,
            (dict(num_context_blocks=0), 'num_context_blocks must be at least 1, but is 0'),
            (dict(strip_size=8), 'strip_size must be an odd number, .* but is 8'),
            (dict(square_size=2), 'square_size must be an odd number'),
            (dict(strip_reduction=3), r'strip_reduction must divide .*\[12, 16, 20\], but is 3'),
            (dict(next_repeat=5), 'unexpected keyword argument'),
        ),
    ),
    'ccsnet': HeadCase(
        cfg=dict(type='CCSNetHead', in_channels=[8, 12, 16, 20], channels=16, top_k=3),
        widths=(8, 12, 16, 20),
        configs='ccsnet/*/*.py',
        bad_arguments=(
            *MULTI_LEVEL_ERRORS,
            (dict(top_k=0), 'top_k must be at least 1, but is 0'),
            (dict(decoder_params=dict(embed_dim=16)), 'unexpected keyword argument'),
        ),
    ),
    'pcaa': HeadCase(
        cfg=dict(type='PCAAHead', in_channels=12, in_index=1, channels=16),
        widths=(8, 12, 16, 20),
        configs='pcaa/R*/*.py',
        bad_arguments=(
            (dict(bins=4), r'bins must list the regions .* such as \[\(4, 4\)\], but is 4'),
            (dict(bins=[4]), r'bins must list the regions .* but is \[4\]'),
            (dict(bins=[]), r'bins must list the regions .* but is \[\]'),
            (dict(bins=[(4, 0)]), r'bins must list the regions .* but is \[\(4, 0\)\]'),
            (dict(channels=15), 'channels must be even and at least 2, but is 15'),
            (dict(channels=0), 'channels must be even and at least 2, but is 0'),
            (dict(input_transform='multiple_select'), "but is 'multiple_select'"),
            (dict(bin=[(4, 4)]), 'unexpected keyword argument'),
        ),
    ),
    'pcaa-stages': HeadCase(
        cfg=dict(
            type='PCAAHead',
            in_channels=[12, 16, 20],
            in_index=[1, 2, 3],
            input_transform='resize_concat',
            channels=16,
            bins=[(2, 4), (4, 2)],
        ),
        widths=(8, 12, 16, 20),
        configs='pcaa/B0/*.py',
        bad_arguments=(),
    ),
    'sasformer': HeadCase(
        cfg=dict(
            type='SASFormerHead', in_channels=[8, 12, 16, 20], channels=16, num_heads=(1, 2, 2, 4)
        ),
        widths=(8, 12, 16, 20),
        configs='sasformer/B*/*.py',
        bad_arguments=(
            *MULTI_LEVEL_ERRORS,
            (dict(order='up'), "order must be one of .'coarse_to_fine', .* but is 'up'"),
            (dict(source='concat'), "source must be one of .'chain', .* but is 'concat'"),
            (dict(gate='tanh'), "gate must be one of .'none', 'sigmoid', .* but is 'tanh'"),
            (dict(additive='no'), "additive must be True or False, but is 'no'"),
            (dict(num_heads=(1, 2)), 'num_heads must list one number per entry of in_channels'),
            (dict(num_heads=(1, 2, 3, 4)), 'but 3 does not divide 16'),
            (dict(num_heads=(1, 2, 0, 4)), 'but 0 does not divide 16'),
            (dict(feature_strides=4), 'feature_strides must list one number per entry'),
            (dict(feature_strides=(4, 8, 16, 24)), 'feature_strides must divide 64, but .* 24'),
            (dict(mlp_ratio=0), 'mlp_ratio must be above 0, but is 0'),
            (dict(drop_path_rate=1), 'drop_path_rate must be at least 0 and below 1, but is 1'),
            (dict(decoder_params=dict(embed_dim=16)), 'unexpected keyword argument'),
        ),
    ),
}
