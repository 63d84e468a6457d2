"""PCAA: partial class activation attention for semantic segmentation (CVPR 2022)."""

from collections.abc import Sequence
from math import ceil, log2
from typing import Any

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.checkpoints.pcaa import PCAA_MODEL_KEYS, pcaa_key_tables
from segheads.layers import DefaultConvModule, PointwiseConv2d, region_grid, sum_over_pixels


class PartialClassActivationAttention(nn.Module):
    """Attention from pixels to the classes of their region, by partial class activation maps.

    Each region gets a centre per class, the mean of its pixels by activation, weighed by the
    region's score for the class. A graph step exchanges centres between the regions; their fusion
    are the centres of the whole image. Pixels are compared with the centres of their own region,
    and gather those of the image.

    Args:
        channels (int): Width.
        num_classes (int): Number of classes.
        bins (tuple[int, int]): Number of regions along the height and the width.
        cam_dropout_ratio (float): Share of channels dropped before the activation maps.
        norm_cfg (dict): Norm layer.
        act_cfg (dict): Activation of the output.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        bins: tuple[int, int],
        cam_dropout_ratio: float,
        norm_cfg: dict,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        self.bins = bins
        num_regions = bins[0] * bins[1]
        self.cam_dropout = nn.Dropout2d(cam_dropout_ratio)
        self.class_activation = nn.Conv2d(channels, num_classes, 1)
        self.region_mixing = nn.Conv2d(num_regions, num_regions, 1, bias=False)
        self.channel_mixing = nn.Linear(channels, channels, bias=False)
        self.region_fusion = nn.Conv2d(num_regions, 1, 1)
        self.query_proj = nn.Linear(channels, channels // 2)
        self.key_proj = nn.Linear(channels, channels // 2)
        self.value_proj = nn.Linear(channels, channels // 2)
        self.out_proj = DefaultConvModule(
            channels // 2, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            x (Tensor): Features (B, C, H, W), with at least a pixel per region.

        Returns:
            tuple[Tensor, Tensor]: Features (B, C, H, W) and the classes' logits in each region,
            (B, num_classes, *bins), in float32 or better.
        """
        regions = region_grid(x.shape[2:], self.bins, x.device)
        inside = regions.inside[..., None]  # (R, Q, 1)
        pixels = regions.split(x)  # (B, R, Q, C)
        cam = regions.split(self.class_activation(self.cam_dropout(x)))  # (B, R, Q, classes)
        cam = cam.to(torch.promote_types(cam.dtype, torch.float32))

        region_logits = (cam * inside).sum(2) / inside.sum(1)  # (B, R, classes)
        partial_cam = cam.masked_fill(~inside, float('-inf')).softmax(2)
        partial_cam = partial_cam * region_logits.sigmoid().unsqueeze(2)

        local_centers = sum_over_pixels(partial_cam.transpose(2, 3), pixels)  # (B, R, classes, C)
        local_centers = F.relu(local_centers + self.region_mixing(local_centers))
        local_centers = self.channel_mixing(local_centers)
        global_centers = F.relu(self.region_fusion(local_centers))  # (B, 1, classes, C)

        key = self.key_proj(local_centers)
        # As released the attention is not scaled; weights trained so need it.
        context = F.scaled_dot_product_attention(
            query=self.query_proj(pixels),
            key=key,
            value=self.value_proj(global_centers).expand_as(key),
            scale=1.0,
        )
        x = x + self.out_proj(regions.merge(context, x.shape[2:]))
        return x, region_logits.transpose(1, 2).unflatten(2, self.bins)


@MODELS.register_module()
class PCAAHead(BaseDecodeHead):
    """Decode head of PCAA.

    Implements "Partial Class Activation Attention for Semantic Segmentation" (Liu, Xie, Xu, Zhang
    and Tian, CVPR 2022). The features, reduced, pass one attention stage per entry of ``bins`` and
    are classified together with the features as they came. Each stage also scores the classes of
    every region, which the loss compares with the labels.

    It computes what the released code computes on features that the bins divide. On others, where
    the release fails, regions differ by a row or column.

    Args:
        in_channels (int): Width of the features; a list with ``input_transform='resize_concat'``.
        channels (int): Width of the head, even. 512 as released.
        bins (Sequence[Sequence[int]]): For each attention stage the number of regions along the
            height and the width. Default: one stage of 4x4.
        dropout_ratio (float): Share of channels dropped before the classifier. Default: 0.0.
        cam_dropout_ratio (float): Share of channels dropped before the class activation maps.
            Default: 0.1.
        loss_decode (dict | Sequence[dict], optional): Loss of the logits. Default: cross entropy,
            averaged over the labelled pixels.
        loss_region (dict, optional): Loss of the scores in the regions, averaged over the stages.
            Default: dict(type='RegionClassificationLoss').
        norm_cfg (dict, optional): Norm layer. Default: dict(type='BN').
        act_cfg (dict, optional): Activation after the norms. Default: dict(type='ReLU').
        init_cfg (dict, optional): As in the release, all layers keep PyTorch's default
            initialisation. Default: None.
        **kwargs: Arguments of :class:`mmseg.models.decode_heads.BaseDecodeHead`, such as
            ``num_classes``, ``in_index``, ``ignore_index`` and ``align_corners``.

    Raises:
        ValueError: If ``bins``, ``channels`` or ``input_transform`` is not as said above; in a
            forward pass, if the features have fewer rows or columns than there are bins.
    """

    def __init__(
        self,
        in_channels: int | Sequence[int],
        channels: int,
        *,
        bins: Sequence[Sequence[int]] = ((4, 4),),
        dropout_ratio: float = 0.0,
        cam_dropout_ratio: float = 0.1,
        loss_decode: dict | Sequence[dict] | None = None,
        loss_region: dict | None = None,
        norm_cfg: dict | None = None,
        act_cfg: dict | None = None,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        stage_bins = _resolve_bins(bins)
        if channels < 2 or channels % 2:
            raise ValueError(f'PCAAHead: channels must be even and at least 2, but is {channels}.')
        if kwargs.get('input_transform') == 'multiple_select':
            raise ValueError(
                "PCAAHead takes one map: input_transform must be None or 'resize_concat', but is "
                "'multiple_select'."
            )
        norm_cfg = norm_cfg or dict(type='BN')
        act_cfg = act_cfg or dict(type='ReLU')
        super().__init__(
            in_channels,
            channels,
            dropout_ratio=dropout_ratio,
            loss_decode=loss_decode or dict(type='UpsampledCrossEntropyLoss', avg_non_ignore=True),
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            init_cfg=init_cfg,
            **kwargs,
        )

        def conv3x3(width: int) -> DefaultConvModule:
            return DefaultConvModule(
                width, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg
            )

        self.reduction = conv3x3(self.in_channels)
        self.attentions = nn.ModuleList(
            PartialClassActivationAttention(
                channels, self.num_classes, bins, cam_dropout_ratio, norm_cfg, act_cfg
            )
            for bins in stage_bins
        )
        self.refinement = conv3x3(channels)
        self.bottleneck = conv3x3(channels + self.in_channels)
        self.loss_region = MODELS.build(loss_region or dict(type='RegionClassificationLoss'))
        # A dropout that is on shifts the released name of the classifier.
        self.released_keys, other_keys = pcaa_key_tables(len(stage_bins), dropout_ratio > 0)
        other_keys.register(self)
        self.released_keys.register(self)
        PointwiseConv2d.convert(self)
        self.released_model_keys = PCAA_MODEL_KEYS

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Predict the class scores.

        Args:
            inputs (Sequence[Tensor]): Backbone outputs, each (B, C_i, H_i, W_i).

        Returns:
            Tensor: Logits (B, num_classes, H, W) at the resolution of the features.
        """
        return self._decode(inputs)[0]

    def loss(
        self, inputs: Sequence[Tensor], batch_data_samples: SampleList, train_cfg: dict | None
    ) -> dict[str, Tensor]:
        """Compute the losses of the logits and of the scores in the regions.

        Args:
            inputs (Sequence[Tensor]): Backbone outputs, each (B, C_i, H_i, W_i).
            batch_data_samples (list[SegDataSample]): The labels of the images.
            train_cfg (dict, optional): Not used.

        Returns:
            dict[str, Tensor]: Losses by name, and the pixel accuracy.
        """
        labels = self._stack_batch_gt(batch_data_samples).squeeze(1)
        logits, region_logits = self._decode(inputs, labels.shape[1:])
        losses = self.loss_by_feat(logits, batch_data_samples)
        stages = [
            self.loss_region(stage, labels, ignore_index=self.ignore_index)
            for stage in region_logits
        ]
        losses[self.loss_region.loss_name] = sum(stages) / len(stages)
        return losses

    def predict(
        self, inputs: Sequence[Tensor], batch_img_metas: list[dict], test_cfg: dict | None
    ) -> Tensor:
        """Predict the class scores at the size of the images.

        Args:
            inputs (Sequence[Tensor]): Backbone outputs, each (B, C_i, H_i, W_i).
            batch_img_metas (list[dict]): Sizes of the images.
            test_cfg (dict, optional): Not used.

        Returns:
            Tensor: Logits (B, num_classes, height, width).
        """
        meta = batch_img_metas[0]
        logits, _ = self._decode(inputs, meta.get('pad_shape', meta['img_shape'])[:2])
        return self.predict_by_feat(logits, batch_img_metas)

    def _decode(
        self, inputs: Sequence[Tensor], image_size: Sequence[int] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        features = self._transform_inputs(inputs)
        self._require_a_pixel_per_region(features.shape[2:], image_size)
        x = self.reduction(features)
        region_logits = []
        for attention in self.attentions:
            x, stage_logits = attention(x)
            region_logits.append(stage_logits)
        x = self.bottleneck(torch.cat([self.refinement(x), features], dim=1))
        return self.cls_seg(x), region_logits

    def _require_a_pixel_per_region(
        self, size: Sequence[int], image_size: Sequence[int] | None
    ) -> None:
        bins = [max(edge) for edge in zip(*(stage.bins for stage in self.attentions), strict=True)]
        if size[0] >= bins[0] and size[1] >= bins[1]:
            return
        # An encoder of stride s makes ceil(n / s) of n pixels; strides are powers of two.
        stride = 8
        if image_size:
            stride = 2 ** ceil(log2(max(image_size[0] / size[0], image_size[1] / size[1])))
        smallest = [(edge - 1) * stride + 1 for edge in bins]
        raise ValueError(
            f'PCAAHead: features of {size[0]}x{size[1]} (height x width) are too small for '
            f'{bins[0]}x{bins[1]} regions; the smallest image is {smallest[0]}x{smallest[1]} with '
            f'an encoder of stride {stride}: take larger images or crops, or fewer bins.'
        )


def _resolve_bins(bins: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    is_list = isinstance(bins, (list, tuple)) and len(bins) > 0
    if is_list and all(
        isinstance(stage, (list, tuple))
        and len(stage) == 2
        and all(isinstance(count, int) and count > 0 for count in stage)
        for stage in bins
    ):
        return [tuple(stage) for stage in bins]
    raise ValueError(
        'PCAAHead: bins must list the regions along height and width for each attention stage, '
        f'such as [(4, 4)], but is {bins!r}.'
    )
