"""SASFormer: successive aggregation of multi-level features (ICIP 2024), a reconstruction."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks import DropPath
from mmseg.models.backbones.mit import MixFFN
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.checkpoints.key_table import KeyTable
from segheads.layers import PointwiseConv2d, adaptive_avg_pool2d, pointwise_conv2d

from .arguments import resolve_in_index

POOLED_STRIDE = 64
MIT_HEADS = (1, 2, 5, 8)
FEWEST_CHANNELS_PER_HEAD = 32
ORDERS = ('coarse_to_fine', 'fine_to_coarse')
SOURCES = ('chain', 'accumulate')
GATES = {'none': lambda x: x, 'sigmoid': torch.sigmoid, 'hard_sigmoid': F.hardsigmoid}


class SuccessiveCrossAttention(nn.Module):
    """Multi-head attention from a level to the semantics aggregated so far (SCA).

    Args:
        channels (int): Width of the level and of the attention.
        source_channels (int): Width of the semantics.
        num_heads (int): Number of attention heads.
    """

    def __init__(self, channels: int, source_channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query_norm = nn.LayerNorm(channels)
        self.source_norm = nn.LayerNorm(source_channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(source_channels, channels, bias=False)
        self.value = nn.Linear(source_channels, channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """Attend from (B, N, C) to (B, N, C_source); return (B, N, C)."""
        query, source = self.query(self.query_norm(x)), self.source_norm(source)
        query, key, value = (
            tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for tokens in (query, self.key(source), self.value(source))
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.proj(attended.transpose(1, 2).flatten(2))


class AggregationBlock(nn.Module):
    """Transformer block: successive cross-attention, then a feed-forward network.

    Args:
        channels (int): Width of the level.
        source_channels (int): Width of the semantics attended to.
        num_heads (int): Number of attention heads.
        mlp_ratio (float): Hidden width of the feed-forward network, relative to ``channels``.
        drop_path_rate (float): Rate at which training leaves out either branch for an image.
    """

    def __init__(
        self,
        channels: int,
        source_channels: int,
        num_heads: int,
        mlp_ratio: float,
        drop_path_rate: float,
    ) -> None:
        super().__init__()
        self.attention = SuccessiveCrossAttention(channels, source_channels, num_heads)
        self.drop_path = DropPath(drop_path_rate)
        self.ffn_norm = nn.LayerNorm(channels)
        self.ffn = MixFFN(
            channels,
            int(mlp_ratio * channels),
            dropout_layer=dict(type='DropPath', drop_prob=drop_path_rate),
        )

    def forward(self, x: Tensor, source: Tensor, size: Sequence[int]) -> Tensor:
        """Aggregate (B, h * w, C_source) into (B, h * w, C), where ``size`` is (h, w)."""
        x = x + self.drop_path(self.attention(x, source))
        return self.ffn(self.ffn_norm(x), size, identity=x)


class AggregatedSemanticsExtractor(nn.Module):
    """Bring all levels to one small size and aggregate their semantics one by one (ASE).

    Args:
        in_channels (Sequence[int]): Widths of the levels.
        num_heads (Sequence[int]): Attention heads of each level.
        mlp_ratio (float): Hidden width of the feed-forward networks, relative to the level's.
        drop_path_rate (float): Rate of stochastic depth.
        order (str): 'coarse_to_fine' or 'fine_to_coarse'.
        source (str): 'chain' or 'accumulate'.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_heads: Sequence[int],
        mlp_ratio: float,
        drop_path_rate: float,
        order: str,
        source: str,
    ) -> None:
        super().__init__()
        self.accumulate = source == 'accumulate'
        levels = list(range(len(in_channels)))
        self.order = levels[::-1] if order == 'coarse_to_fine' else levels
        self.pooled_projs = nn.ModuleList(nn.Conv2d(width, width, 1) for width in in_channels)
        self.blocks = nn.ModuleList()
        for level, width in enumerate(in_channels):
            before = [in_channels[other] for other in self.order[: self.order.index(level)]]
            if self.accumulate:
                source_width = sum(before) + width
            else:
                source_width = before[-1] if before else width
            self.blocks.append(
                AggregationBlock(width, source_width, num_heads[level], mlp_ratio, drop_path_rate)
            )

    def forward(self, features: Sequence[Tensor], size: Sequence[int]) -> list[Tensor]:
        """Return the semantics (B, C_i, *size) of each level (B, C_i, H_i, W_i)."""
        aggregated: dict[int, Tensor] = {}
        for level in self.order:
            x = self.pooled_projs[level](adaptive_avg_pool2d(features[level], size))
            x = x.flatten(2).transpose(1, 2)
            before = list(aggregated.values())
            if self.accumulate:
                source = torch.cat([*before, x], dim=2)
            else:
                source = before[-1] if before else x
            aggregated[level] = self.blocks[level](x, source, size)
        return [
            aggregated[level].transpose(1, 2).unflatten(2, size) for level in range(len(features))
        ]


class SemanticCombiningModule(nn.Module):
    """Weigh a level by its aggregated semantics: ``L * gate(G)``, and + G if ``additive`` (SCM).

    L and G are the level and the semantics after a 1x1 convolution and a norm each.

    Args:
        channels (int): Width of the level, of the semantics and of the output.
        gate (str): What turns semantics into weights: 'none', 'sigmoid' or 'hard_sigmoid'.
        additive (bool): Whether the semantics are added too.
        norm_cfg (dict): Norm layer.
        act_cfg (dict, optional): Activation of L.
    """

    def __init__(
        self, channels: int, gate: str, additive: bool, norm_cfg: dict, act_cfg: dict | None
    ) -> None:
        super().__init__()
        self.gate = gate
        self.additive = additive
        self.local = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.semantics = ConvModule(channels, channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, x: Tensor, semantics: Tensor) -> Tensor:
        """Combine (B, C, H, W) and (B, C, h, w) into (B, C, H, W)."""
        local, semantics = self.local(x), self.semantics(semantics)
        size = x.shape[2:]
        weight = resize(GATES[self.gate](semantics), size, mode='bilinear', align_corners=False)
        if not self.additive:
            # Fresh memory for a large map would cost as much as the product itself.
            return local * weight if torch.is_grad_enabled() else local.mul_(weight)
        if self.gate != 'none':
            semantics = resize(semantics, size, mode='bilinear', align_corners=False)
        else:
            semantics = weight
        return torch.addcmul(semantics, local, weight)


@MODELS.register_module()
class SASFormerHead(BaseDecodeHead):
    """Decode head of SASFormer, a reconstruction: the authors never released theirs.

    Follows "A Decoding Scheme with Successive Aggregation of Multi-Level Features for Light-Weight
    Semantic Segmentation" (Yoo, Lee and Kim, ICIP 2024, https://arxiv.org/abs/2402.11201) as far
    as it is known. The authors' repository has configs and no code of the head, so no published
    figure is claimed for this one, and checkpoints of the authors do not load.

    *Stated* by the sources: the aggregated semantics extractor (ASE) brings every level to 1/64 of
    the image at its own width, and has one transformer block per level, a successive
    cross-attention and a feed-forward network; the semantic combining module (SCM) weighs the
    levels by the result before the prediction. *Inferred* from the first author's next decoder
    (CCASeg) and those it builds on (TopFormer, FeedFormer), and therefore an argument: all that
    the arguments below call inferred. The rest of the inside (layer norms, the 3x3 depthwise
    convolution of MiT's feed-forward network, one 1x1 convolution as fusion) is inferred too.

    Training takes two images, or images of more than 64 pixels, where the norm is a batch norm.

    Args:
        in_channels (Sequence[int]): Widths of the levels, from fine to coarse.
        channels (int): Width before the classifier; 128 in the released configs.
        feature_strides (Sequence[int]): Stride of each level; the released argument of this name.
            Default: (4, 8, 16, 32).
        num_heads (Sequence[int], optional): Attention heads of each level. Inferred, those of the
            encoder MiT. Default: 1, 2, 5 and 8 for the widths of a MiT, which are in this
            proportion; for other widths the most heads that leave 32 channels or more to each,
            which are the same for MiT-B0.
        mlp_ratio (float): Hidden width of the feed-forward networks, relative to the level's.
            Inferred, that of MiT. Default: 4.
        drop_path_rate (float): Rate of stochastic depth in the blocks of the ASE. Inferred, that
            of the released encoder configs. Default: 0.1.
        order (str): The level at which the ASE starts: 'coarse_to_fine' or 'fine_to_coarse'.
            Inferred, the order of CCASeg. Default: 'coarse_to_fine'.
        source (str): Where keys and values of a level come from: 'chain', the semantics of the
            level before, or 'accumulate', those of all levels before and the pooled level itself,
            concatenated. The first level attends to itself. Inferred: the sources say that the
            aggregation is successive and argue against concatenated levels. Default: 'chain'.
        gate (str): What turns semantics into weights in the SCM: 'none', 'sigmoid' or
            'hard_sigmoid'. Inferred: CCASeg has none, TopFormer a sigmoid; the sigmoid was ahead
            in the ablation of docs/results.md. Default: 'sigmoid'.
        additive (bool): Whether the SCM also adds the semantics, as in CCASeg and TopFormer.
            Inferred: the sources speak of weights only, and without the sum every seed of the
            ablation was ahead. Default: False.
        in_index (Sequence[int], optional): Which backbone outputs the levels are. Default: the
            first ``len(in_channels)``.
        norm_cfg (dict, optional): Norm layer of all convolutions. Default: dict(type='BN').
        **kwargs: Arguments of :class:`mmseg.models.decode_heads.BaseDecodeHead`, such as
            ``num_classes``, ``dropout_ratio``, ``loss_decode`` and ``align_corners``. The last
            acts on the loss and the prediction only.

    Raises:
        ValueError: If an argument is out of its range, or does not fit the levels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        feature_strides: Sequence[int] = (4, 8, 16, 32),
        num_heads: Sequence[int] | None = None,
        mlp_ratio: float = 4,
        drop_path_rate: float = 0.1,
        order: str = 'coarse_to_fine',
        source: str = 'chain',
        gate: str = 'sigmoid',
        additive: bool = False,
        in_index: Sequence[int] | None = None,
        norm_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        in_index = resolve_in_index('SASFormerHead', in_channels, in_index)
        num_heads = _default_num_heads(in_channels) if num_heads is None else num_heads
        _check_levels(in_channels, feature_strides, num_heads)
        _check_choice('order', order, ORDERS)
        _check_choice('source', source, SOURCES)
        _check_choice('gate', gate, tuple(GATES))
        if not isinstance(additive, bool):
            raise ValueError(f'SASFormerHead: additive must be True or False, but is {additive!r}.')
        if not mlp_ratio > 0:
            raise ValueError(f'SASFormerHead: mlp_ratio must be above 0, but is {mlp_ratio}.')
        if not 0 <= drop_path_rate < 1:
            raise ValueError(
                'SASFormerHead: drop_path_rate must be at least 0 and below 1, but is '
                f'{drop_path_rate}.'
            )
        norm_cfg = norm_cfg or dict(type='BN')
        super().__init__(
            in_channels,
            channels,
            in_index=in_index,
            input_transform='multiple_select',
            norm_cfg=norm_cfg,
            **kwargs,
        )
        self.pool_factor = POOLED_STRIDE // feature_strides[-1]
        self.extractor = AggregatedSemanticsExtractor(
            in_channels, num_heads, mlp_ratio, drop_path_rate, order, source
        )
        self.combining = nn.ModuleList(
            SemanticCombiningModule(width, gate, additive, norm_cfg, self.act_cfg)
            for width in in_channels
        )
        self.fusion = ConvModule(
            sum(in_channels), channels, 1, norm_cfg=norm_cfg, act_cfg=self.act_cfg
        )
        # The names in the authors' checkpoints are not known.
        self.released_keys = KeyTable({})
        PointwiseConv2d.convert(self)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Predict the class scores.

        Args:
            inputs (Sequence[Tensor]): Backbone outputs, each (B, C_i, H_i, W_i).

        Returns:
            Tensor: Logits (B, num_classes, H_1, W_1) at the resolution of the first level.
        """
        features = self._transform_inputs(inputs)
        if self.training and features[0].is_cpu:
            # The gradient of the resizing is faster there in this layout, the forward pass is not.
            features = [x.contiguous(memory_format=torch.channels_last) for x in features]
        # Rounded up, as backbones do: the size of the image over 64. No negative numbers, which
        # ONNX divides towards zero.
        factor = self.pool_factor
        size = [(extent + factor - 1) // factor for extent in features[-1].shape[2:]]

        semantics = self.extractor(features, size)
        combined = [
            combine(x, semantic)
            for combine, x, semantic in zip(self.combining, features, semantics, strict=True)
        ]
        return self.cls_seg(self._fuse(combined))

    def _fuse(self, maps: Sequence[Tensor]) -> Tensor:
        # The 1x1 convolution over all levels, concatenated, commutes with their resizing: each
        # level takes its part of the weight at its own size.
        weights = self.fusion.conv.weight.split(self.in_channels, dim=1)
        x = pointwise_conv2d(maps[0], weights[0], self.fusion.conv.bias)  # which it has once fused
        size = x.shape[2:]
        for level, weight in zip(maps[1:], weights[1:], strict=True):
            level = pointwise_conv2d(level, weight)
            level = resize(level, size, mode='bilinear', align_corners=False)
            x = x + level if torch.is_grad_enabled() else x.add_(level)
        x = self.fusion.norm(x)
        return self.fusion.activate(x) if self.fusion.with_activation else x


def _default_num_heads(in_channels: Sequence[int]) -> list[int]:
    per_head = in_channels[0]
    if list(in_channels) == [heads * per_head for heads in MIT_HEADS]:
        return list(MIT_HEADS)
    most_heads = [max(1, width // FEWEST_CHANNELS_PER_HEAD) for width in in_channels]
    return [
        next(heads for heads in range(most, 0, -1) if width % heads == 0)
        for width, most in zip(in_channels, most_heads, strict=True)
    ]


def _check_levels(
    in_channels: Sequence[int], feature_strides: Sequence[int], num_heads: Sequence[int]
) -> None:
    per_level = dict(feature_strides=feature_strides, num_heads=num_heads)
    for name, values in per_level.items():
        if not isinstance(values, (list, tuple)) or len(values) != len(in_channels):
            raise ValueError(
                f'SASFormerHead: {name} must list one number per entry of in_channels '
                f'{list(in_channels)}, but is {values!r}.'
            )
    for stride in feature_strides:
        if stride < 1 or POOLED_STRIDE % stride:
            raise ValueError(
                f'SASFormerHead: feature_strides must divide {POOLED_STRIDE}, but '
                f'{list(feature_strides)} has {stride}.'
            )
    for width, heads in zip(in_channels, num_heads, strict=True):
        if heads < 1 or width % heads:
            raise ValueError(
                f'SASFormerHead: each of num_heads {list(num_heads)} must divide the width of its '
                f'level in in_channels {list(in_channels)}, but {heads} does not divide {width}.'
            )


def _check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f'SASFormerHead: {name} must be one of {allowed}, but is {value!r}.')
