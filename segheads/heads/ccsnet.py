"""CCSNet: cross-stage class-specific attention (PRCV 2022)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.checkpoints.ccsnet import ccsnet_key_table
from segheads.layers import PointwiseConv2d, pointwise_conv2d, sum_over_pixels
from segheads.layers.size_tables import kept_per_size

from .arguments import resolve_in_index


class ClassCentres(nn.Module):
    """One key and one value per class, from the class centres of a feature map.

    The centre of a class is the mean of the map, weighted by the softmax over all positions of the
    coarse logits of that class.

    Args:
        in_channels (int): Width of the feature map.
        channels (int): Width of keys and values.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(in_channels, channels, 1)
        self.value_proj = nn.Conv2d(in_channels, channels, 1, bias=False)

    def forward(self, x: Tensor, coarse_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Gather (B, C_in, H, W) by logits (B, N, h, w) into keys and values (B, C, N, 1)."""
        logits = resize(coarse_logits, x.shape[2:], mode='bilinear', align_corners=False)
        weights = logits.flatten(2).softmax(dim=2)
        centres = sum_over_pixels(x.flatten(2), weights.transpose(1, 2)).unsqueeze(3)
        return self.key_proj(centres), self.value_proj(centres)


class ClassSpecificAttention(nn.Module):
    """Attention from the pixels of a level to the classes selected at their place.

    Args:
        in_channels (int): Width of the level.
        channels (int): Width of queries, keys, values and output.
        norm_cfg (dict): Norm layer of the output projection.
        act_cfg (dict, optional): Activation of the output projection.
        upsample (bool): Whether the queries are resized to the coarse logits. Default: False.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        norm_cfg: dict,
        act_cfg: dict | None,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.query_proj = nn.Conv2d(in_channels, channels, 1)
        self.out_proj = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, x: Tensor, key: Tensor, value: Tensor, selected: Tensor) -> Tensor:
        """Attend from (B, C_in, H, W) to the selected of N classes.

        Args:
            x (Tensor): The level, (B, C_in, H, W).
            key (Tensor): Keys of the classes, (B, C, N, 1).
            value (Tensor): Values of the classes, (B, C, N, 1).
            selected (Tensor): The classes of each cell of the coarse grid, bool (B, h, w, N).

        Returns:
            Tensor: (B, C, H, W), or (B, C, h, w) if ``upsample`` is set.
        """
        query = self.query_proj(x)
        if self.upsample:
            query = resize(query, selected.shape[1:3], mode='bilinear', align_corners=False)
        # A 1x1 convolution without bias commutes with the weighted sum over the classes, which
        # are far fewer than the pixels.
        value = self.out_proj.conv(value)
        attended = F.scaled_dot_product_attention(
            _as_tokens(query),
            _as_tokens(key),
            _as_tokens(value),
            attn_mask=_spread_cells(selected, query.shape[2:]).flatten(1, 2).unsqueeze(1),
        )
        attended = attended.squeeze(1).transpose(1, 2).unflatten(2, query.shape[2:])
        x = _normalise_and_activate(self.out_proj, attended)
        return x + query if torch.is_grad_enabled() else x.add_(query)


def _as_tokens(x: Tensor) -> Tensor:
    """Turn (B, C, H, W) into one attention head, (B, 1, H * W, C)."""
    return x.flatten(2).transpose(1, 2).unsqueeze(1)


def _spread_cells(grid: Tensor, size: torch.Size) -> Tensor:
    """Give each pixel of (B, *size, N) what its cell of the grid (B, h, w, N) has."""
    rows, columns = (
        _cells_of_pixels(extent, cells, grid.device)
        for extent, cells in zip(size, grid.shape[1:3], strict=True)
    )
    return grid[:, rows[:, None], columns]


@kept_per_size
def _cells_of_pixels(extent: int, cells: int, device: torch.device) -> Tensor:
    # Integers, since interpolation by 'nearest' rounds and misses cells at some sizes.
    return torch.arange(extent, device=device) * cells // extent


def _normalise_and_activate(block: ConvModule, x: Tensor) -> Tensor:
    x = block.norm(x)
    return block.activate(x) if block.with_activation else x


@MODELS.register_module()
class CCSNetHead(BaseCascadeDecodeHead):
    """Decode head of CCSNet, the second stage of a ``CascadeEncoderDecoder``.

    Implements "Cross-Stage Class-Specific Attention for Image Semantic Segmentation" (Shi, Sun and
    Li, PRCV 2022). A first stage, in the release an ``FCNHead`` on the map before the last,
    predicts coarse logits. They gather one centre per class from the last map, and select for each
    of their pixels the ``top_k`` classes with the highest scores. Each pixel of each level then
    attends to the centres of the classes selected at its place.

    It computes what the released code computes where that works: image sizes whose map at stride 4
    is a multiple of 4, and 20 classes or more. It takes any other size and number of classes:
    pixel (y, x) of a level of H x W belongs to cell (floor(y * h / H), floor(x * w / W)) of the
    coarse logits.

    Args:
        in_channels (Sequence[int]): Widths of the levels, from fine to coarse, each with twice
            the stride of the one before.
        channels (int): Width of the attention and before the classifier
            (``decoder_params.embed_dim`` of the release, which uses its own ``channels`` nowhere).
        top_k (int): Classes selected per pixel of the coarse logits; all classes if there are
            fewer. Default: 20.
        in_index (Sequence[int], optional): Which backbone outputs the levels are. Default: the
            first ``len(in_channels)``.
        norm_cfg (dict, optional): Norm layer. Default: dict(type='BN').
        init_cfg (dict, optional): As in the release, the classifier keeps PyTorch's default
            initialisation instead of MMSegmentation's N(0, 0.01). Default: None.
        **kwargs: Arguments of :class:`mmseg.models.decode_heads.BaseDecodeHead`, such as
            ``num_classes``, ``dropout_ratio``, ``loss_decode`` and ``align_corners``. The last
            acts on the loss and the prediction only.

    Raises:
        ValueError: If the levels do not fit together or ``top_k`` is not positive.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        top_k: int = 20,
        in_index: Sequence[int] | None = None,
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        in_index = resolve_in_index('CCSNetHead', in_channels, in_index)
        if top_k < 1:
            raise ValueError(f'CCSNetHead: top_k must be at least 1, but is {top_k}.')
        norm_cfg = norm_cfg or dict(type='BN')
        super().__init__(
            in_channels,
            channels,
            in_index=in_index,
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            init_cfg=init_cfg,
            **kwargs,
        )
        num_levels = len(in_channels)
        self.top_k = min(top_k, self.out_channels)
        self.class_centres = ClassCentres(in_channels[-1], channels)
        self.attentions = nn.ModuleList(
            ClassSpecificAttention(
                width, channels, norm_cfg, self.act_cfg, upsample=level == num_levels - 1
            )
            for level, width in enumerate(in_channels)
        )
        self.fuse = ConvModule(
            num_levels * channels, channels, 1, norm_cfg=norm_cfg, act_cfg=self.act_cfg
        )
        self.released_keys = ccsnet_key_table(num_levels)
        self.released_keys.register(self)
        PointwiseConv2d.convert(self)

    def forward(self, inputs: Sequence[Tensor], prev_output: Tensor) -> Tensor:
        """Predict the class scores.

        Args:
            inputs (Sequence[Tensor]): Backbone outputs, each (B, C_i, H_i, W_i).
            prev_output (Tensor): Coarse logits of the stage before, (B, num_classes, h, w), of
                the same size as the level before the last.

        Returns:
            Tensor: Logits (B, num_classes, H_1, W_1) at the resolution of the first level.

        Raises:
            ValueError: If the coarse logits do not belong to the features.
        """
        features = self._transform_inputs(inputs)
        self._check_coarse_logits(features, prev_output)
        if features[0].is_cpu:
            # There, 1x1 convolutions and attention to classes are products of matrices as they are
            # in this layout, without a copy of the map.
            features = [x.contiguous(memory_format=torch.channels_last) for x in features]

        key, value = self.class_centres(features[-1], prev_output)
        selected = self._select_classes(prev_output)

        # The 1x1 convolution over all levels, concatenated from coarse to fine, commutes with
        # their resizing: each level takes its part of the weight at its own size.
        fuse_weights = reversed(self.fuse.conv.weight.chunk(len(features), dim=1))
        fused = [
            pointwise_conv2d(attention(x, key, value, selected), weight)
            for attention, x, weight in zip(self.attentions, features, fuse_weights, strict=True)
        ]
        # The last two levels have the size of the coarse logits: one resizing serves both.
        fused[-2:] = [fused[-2] + fused[-1]]
        x = fused[0]
        for coarser in fused[1:]:
            coarser = resize(coarser, x.shape[2:], mode='bilinear', align_corners=False)
            # Fresh memory for the largest maps would cost as much as the sum itself.
            x = x + coarser if torch.is_grad_enabled() else x.add_(coarser)
        if self.fuse.conv.bias is not None:  # once `segheads.fuse` has folded the norm
            x = x + self.fuse.conv.bias[:, None, None]
        return self.cls_seg(_normalise_and_activate(self.fuse, x)).contiguous()

    def _select_classes(self, coarse_logits: Tensor) -> Tensor:
        scores = coarse_logits.permute(0, 2, 3, 1)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        selected = torch.zeros_like(scores, dtype=torch.bool)
        return selected.scatter(3, scores.topk(self.top_k, dim=3).indices, 1)

    def _check_coarse_logits(self, features: Sequence[Tensor], coarse_logits: Tensor) -> None:
        expected = (self.out_channels, *features[-2].shape[2:])
        if tuple(coarse_logits.shape[1:]) != expected:
            channels, height, width = coarse_logits.shape[1:]
            raise ValueError(
                f'CCSNetHead: the coarse logits have {channels} classes and size {height}x{width}, '
                f'but must have {expected[0]} classes and the size of the feature map before the '
                f'last, {expected[1]}x{expected[2]}: let the stage before take that map '
                f'(in_index={self.in_index[-2]}) and have as many classes.'
            )
