"""The heads that are measured, on the feature maps that their encoders would give them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import PixelData
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

import segheads

MODEL_CONFIGS = Path(__file__).parents[1] / 'local_configs' / '_base_' / 'models'
BATCH_NORM = dict(type='BN')


@dataclass(frozen=True)
class Subject:
    """A decode head and what it is compared with.

    Args:
        name (str): Its name in tables, with its encoder.
        encoder (str): The encoder whose widths and strides the features have.
        widths (Sequence[int]): Widths of the encoder's maps.
        strides (Sequence[int]): Strides of the encoder's maps.
        config (str): File of one of our models, in ``local_configs/_base_/models``.
        head (dict, optional): Head of MMSegmentation, in place of ``config``.
    """

    name: str
    encoder: str
    widths: Sequence[int]
    strides: Sequence[int]
    config: str = ''
    head: dict | None = None

    def head_cfg(self, num_classes: int = 150, loss: str = '') -> dict:
        """Return the head's configuration.

        Args:
            num_classes (int): Number of classes. Default: 150.
            loss (str): Type of a loss in place of the configured one. Default: ''.
        """
        cfg = self.head or self._model_cfg().decode_head
        if isinstance(cfg, list):
            cfg = cfg[-1]
        cfg = {**cfg, 'num_classes': num_classes, 'norm_cfg': cfg.get('norm_cfg', BATCH_NORM)}
        if cfg['norm_cfg']['type'] == 'SyncBN':
            cfg['norm_cfg'] = BATCH_NORM
        if loss:
            cfg['loss_decode'] = dict(type=loss)
        return cfg

    def build_head(self, num_classes: int = 150, loss: str = '', fused: bool = False) -> nn.Module:
        """Build the head; fused, it is in evaluation mode."""
        torch.manual_seed(0)
        head = MODELS.build(self.head_cfg(num_classes, loss))
        return segheads.fuse(head.eval()) if fused else head

    def build_model(self, num_classes: int = 150, segmentor: str = '', loss: str = '') -> nn.Module:
        """Build the whole model, without pretrained weights.

        Args:
            num_classes (int): Number of classes. Default: 150.
            segmentor (str): Type of the segmentor in place of the configured one. Default: ''.
            loss (str): Type of the cross entropy in place of the configured one. Default: ''.
        """
        cfg = self._model_cfg()
        cfg.backbone.init_cfg = None
        cfg.data_preprocessor = dict(type='SegDataPreProcessor')
        heads = [cfg.decode_head, cfg.get('auxiliary_head') or []]
        for head in (h for part in heads for h in (part if isinstance(part, list) else [part])):
            head.num_classes = num_classes
            head.loss_decode.type = loss or head.loss_decode.type
        cfg.type = segmentor or cfg.type
        torch.manual_seed(0)
        return revert_sync_batchnorm(MODELS.build(cfg))

    def segmentor(self) -> str:
        """Return the type of the configured segmentor."""
        return self._model_cfg().type

    def inputs(
        self, head: nn.Module, batch: int, size: tuple[int, int], device: str = 'cpu'
    ) -> tuple:
        """Draw what the head takes: features of images of the given size, and coarse logits."""
        generator = torch.Generator().manual_seed(0)

        def draw(channels: int, stride: int) -> Tensor:
            height, width = (-(-extent // stride) for extent in size)
            x = torch.randn(batch, channels, height, width, generator=generator).to(device)
            return x.requires_grad_(head.training)

        features = [draw(*map_) for map_ in zip(self.widths, self.strides, strict=True)]
        if not isinstance(head, BaseCascadeDecodeHead):
            return (features,)
        return features, draw(head.out_channels, self.strides[-2])

    def _model_cfg(self) -> Config:
        return Config.fromfile(MODEL_CONFIGS / self.config).model


def labels(
    batch: int, size: tuple[int, int], num_classes: int, device: str = 'cpu'
) -> list[SegDataSample]:
    """Draw labels in blocks, a tenth of them ignored, with what MMSegmentation knows of images."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(
        0, num_classes, (batch, 1, -(-size[0] // 32), -(-size[1] // 32)), generator=generator
    )
    label = blocks.repeat_interleave(32, 2).repeat_interleave(32, 3)[..., : size[0], : size[1]]
    label = label.masked_fill(torch.rand(label.shape, generator=generator) < 0.1, 255).to(device)
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size, padding_size=[0] * 4)
    return [SegDataSample(gt_sem_seg=PixelData(data=one), metainfo=meta) for one in label]


@cache
def groups() -> dict[str, list[Subject]]:
    """List the subjects by encoder; the first of each group is what the others are compared with.

    References are heads of MMSegmentation, in the width in which its configs use them.
    """
    every = (0, 1, 2, 3)
    mit_b0 = dict(encoder='MiT-B0', widths=(32, 64, 160, 256), strides=(4, 8, 16, 32))
    mit_b1 = dict(encoder='MiT-B1', widths=(64, 128, 320, 512), strides=(4, 8, 16, 32))
    mscan_t = dict(encoder='MSCAN-T', widths=(32, 64, 160, 256), strides=(4, 8, 16, 32))
    former = dict(encoder='EfficientFormerV2-S1', widths=(32, 48, 120, 224), strides=(4, 8, 16, 32))
    resnet = dict(encoder='ResNet-50', widths=(256, 512, 1024, 2048), strides=(4, 8, 8, 8))

    def mmseg(kind: str, encoder: dict, levels: Sequence[int], channels: int, **more) -> Subject:
        head = dict(
            type=kind,
            in_channels=[encoder['widths'][level] for level in levels],
            in_index=list(levels),
            channels=channels,
            dropout_ratio=0.1,
            **more,
        )
        name = f'{kind}-{channels}, {encoder["encoder"]}'
        return Subject(name=name, head=head, **encoder)

    hamburger = dict(
        ham_channels=256,
        ham_kwargs=dict(MD_S=1, MD_R=16, train_steps=6, eval_steps=7, inv_t=100, rand_init=True),
        norm_cfg=dict(type='GN', num_groups=32),
    )
    pyramid = Subject(
        name='PSPHead-512, ResNet-50',
        head=dict(type='PSPHead', in_channels=2048, in_index=3, channels=512, dropout_ratio=0.1),
        **resnet,
    )
    return {
        'MiT-B0': [
            mmseg('SegformerHead', mit_b0, every, 256),
            mmseg('UPerHead', mit_b0, every, 512, pool_scales=(1, 2, 3, 6)),
            Subject(name='CCASeg, MiT-B0', config='ccaseg_b0.py', **mit_b0),
            Subject(name='SASFormer, MiT-B0', config='sasformer_b0.py', **mit_b0),
        ],
        'T': [
            mmseg('LightHamHead', mscan_t, every[1:], 256, **hamburger),
            Subject(name='CGRSeg-T, EfficientFormerV2-S1', config='cgrseg_t.py', **former),
        ],
        'MiT-B1': [
            mmseg('SegformerHead', mit_b1, every, 256),
            Subject(name='CCSNet, MiT-B1', config='ccsnet_b1.py', **mit_b1),
        ],
        'ResNet-50': [pyramid, Subject(name='PCAA, ResNet-50', config='pcaa_r50.py', **resnet)],
    }


def ours() -> list[Subject]:
    """List our heads."""
    return [subject for group in groups().values() for subject in group if subject.config]
