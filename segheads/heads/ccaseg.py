"""CCASeg: decoding multi-scale context with convolutional cross-attention (WACV 2025)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule, build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.checkpoints.ccaseg import ccaseg_key_table
from segheads.layers import PointwiseConv2d, adaptive_avg_pool2d

from .arguments import resolve_in_index


class PooledProjection(nn.Module):
    """Bring a fine level to the resolution of a coarser one: average pooling, then a 1x1 conv.

    Args:
        channels (int): Width of the level.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, size: torch.Size) -> Tensor:
        """Pool (B, C, H, W) to (B, C, *size)."""
        return self.proj(adaptive_avg_pool2d(x, size))


class SemanticInjection(nn.Module):
    """Inject a map of wider semantics into a local one: ``P * G + G``.

    P and G are the two maps after a 1x1 convolution and a norm each.

    Args:
        in_channels (int): Width of the local map.
        out_channels (int): Width of the semantic map and of the output.
        norm_cfg (dict): Norm layer.
        act_cfg (dict, optional): Activation of P. Default: None.
        upsample (str, optional): Where G is resized to the local map: 'after_conv' (equal to
            resizing the semantic map itself, since a 1x1 convolution without bias commutes with
            interpolation, and cheaper), 'after_norm', or None if both maps have one size. The
            statistics of the norm are those of what it is given. Default: None.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        norm_cfg: dict,
        act_cfg: dict | None = None,
        upsample: str | None = None,
    ) -> None:
        super().__init__()
        self.upsample = upsample
        self.local_embedding = ConvModule(
            in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg
        )
        self.global_act = ConvModule(out_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, local: Tensor, semantics: Tensor) -> Tensor:
        """Combine (B, C_in, H, W) and (B, C_out, h, w) into (B, C_out, H, W)."""
        size = local.shape[2:]
        semantics = self.global_act.conv(semantics)
        if self.upsample == 'after_conv':
            semantics = resize(semantics, size, mode='bilinear', align_corners=False)
        semantics = self.global_act.norm(semantics)
        if self.upsample == 'after_norm':
            semantics = resize(semantics, size, mode='bilinear', align_corners=False)
        local = self.local_embedding(local)
        if torch.is_grad_enabled():
            return torch.addcmul(semantics, local, semantics)
        # Fresh memory for the largest maps of the head would cost as much as the sum itself.
        return semantics.addcmul_(local, semantics)


class StripContext(nn.Module):
    """Depthwise context at several scales: a square kernel, then pairs of strips on its output.

    Args:
        channels (int): Width.
        kernel_size (int): Edge of the square kernel.
        strip_sizes (Sequence[int]): Lengths of the strips; each pair is 1xn, then nx1.
    """

    def __init__(self, channels: int, kernel_size: int, strip_sizes: Sequence[int]) -> None:
        super().__init__()

        def depthwise(height: int, width: int) -> nn.Conv2d:
            return nn.Conv2d(
                channels,
                channels,
                (height, width),
                padding=(height // 2, width // 2),
                groups=channels,
            )

        self.square = depthwise(kernel_size, kernel_size)
        self.strips = nn.ModuleList(
            nn.Sequential(depthwise(1, size), depthwise(size, 1)) for size in strip_sizes
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return one (B, C, H, W) per scale, the square kernel's first."""
        x = self.square(x)
        if not (x.is_cpu and x.requires_grad):
            return [x, *(strip(x) for strip in self.strips)]
        # The gradient of a row of weights takes a CPU two to eight times as long as that of a
        # column, far more than turning the map and its results.
        turned = _turn(x)
        rows = [_turn(_convolve_as_column(row, turned)) for row, _ in self.strips]
        columns = [column for _, column in self.strips]
        return [x, *(column(y) for column, y in zip(columns, rows, strict=True))]


def _turn(x: Tensor) -> Tensor:
    return x.transpose(2, 3).contiguous(memory_format=torch.channels_last)


def _convolve_as_column(row: nn.Conv2d, turned: Tensor) -> Tensor:
    return F.conv2d(
        turned,
        row.weight.transpose(2, 3),
        row.bias,
        padding=row.padding[::-1],
        groups=row.groups,
    )


class ConvCrossAttention(nn.Module):
    """Convolutional cross-attention block, with its feed-forward network.

    Query and key meet by elementwise products at each scale of their contexts; their sum, mixed
    across channels, weighs the query. There is no softmax and no scaling.

    Args:
        channels (int): Width of the query and of the block.
        key_channels (int): Width of the key.
        kernel_size (int): Edge of the square context kernel.
        strip_sizes (Sequence[int]): Lengths of the context strips.
        norm_cfg (dict): Norm layer.
    """

    # For `segheads.fuse`.
    fused_pairs = (
        ('query_norm', 'query_proj.0'),
        ('key_norm', 'key_proj.0'),
        ('ffn_norm', 'ffn.0'),
    )

    def __init__(
        self,
        channels: int,
        key_channels: int,
        kernel_size: int,
        strip_sizes: Sequence[int],
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.query_norm = build_norm_layer(norm_cfg, channels)[1]
        self.query_proj = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GELU())
        self.query_context = StripContext(channels, kernel_size, strip_sizes)
        self.key_norm = build_norm_layer(norm_cfg, key_channels)[1]
        self.key_proj = nn.Sequential(nn.Conv2d(key_channels, channels, 1), nn.GELU())
        self.key_context = StripContext(channels, kernel_size, strip_sizes)
        self.proj = nn.Conv2d(channels, channels, 1)
        self.ffn_norm = build_norm_layer(norm_cfg, channels)[1]
        self.ffn = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels),
            nn.GELU(),
            nn.Conv2d(channels, channels, 1),
        )

    def forward(self, x: Tensor, key: Tensor) -> Tensor:
        """Attend from (B, C, H, W) to (B, C_key, H, W); return (B, C, H, W)."""
        query = self.query_proj(self.query_norm(x))
        key = self.key_proj(self.key_norm(key))
        (q, *queries), (k, *keys) = self.query_context(query), self.key_context(key)
        attention = _full_precision(q) * _full_precision(k)
        for q, k in zip(queries, keys, strict=True):
            attention.addcmul_(_full_precision(q), _full_precision(k))
        # The released block uses one projection twice, before and after weighing the query.
        attention = self.proj(attention)
        x = x + self.proj(_full_precision(query) * _full_precision(attention))
        return x + self.ffn(self.ffn_norm(x))


def _full_precision(x: Tensor) -> Tensor:
    # The products grow like the cube of their inputs: fp16 overflows and bf16 loses the sum.
    return x.to(torch.promote_types(x.dtype, torch.float32))


@MODELS.register_module()
class CCASegHead(BaseDecodeHead):
    """Decode head of CCASeg.

    Implements "CCASeg: Decoding Multi-Scale Context with Convolutional Cross-Attention for
    Semantic Segmentation" (Yoo, Ko and Kim, WACV 2025) in all its released variants: MiT-B0 and
    -B1 take four levels and give logits at the resolution of the second; MSCAN tiny and small
    take the last three and give logits at that of the first.

    Levels are refined from coarse to fine. The query of a level is its own map; its key is the
    finest map with all coarser ones injected, where levels already refined replace raw ones. The
    refined levels are then injected into the finest one by one, and classified.

    It computes what the released code computes on image sizes that are multiples of 32 and takes
    any other size of 32 pixels or more per side, where the release fails.

    Args:
        in_channels (Sequence[int]): Widths of the levels, from fine to coarse, each with twice
            the stride of the one before.
        channels (int): Width before the classifier (``decoder_params.embed_dim`` of the release).
        num_blocks (int): Cross-attention blocks per level: 3, or 4 in the tiny variant.
            Default: 3.
        out_level (int): Index among the levels of the one whose resolution the logits have; finer
            levels are pooled to it. 1 for MiT, 0 for MSCAN. Default: 1.
        in_index (Sequence[int], optional): Which backbone outputs the levels are. Default: the
            first ``len(in_channels)``.
        norm_cfg (dict): Norm layer. Default: dict(type='BN').
        init_cfg (dict, optional): As in the release, the classifier keeps PyTorch's default
            initialisation instead of MMSegmentation's N(0, 0.01). Default: None.
        **kwargs: Arguments of :class:`mmseg.models.decode_heads.BaseDecodeHead`, such as
            ``num_classes``, ``dropout_ratio``, ``loss_decode`` and ``align_corners``. The last
            acts on the loss and the prediction only.

    Raises:
        ValueError: If the levels, ``num_blocks`` or ``out_level`` do not fit together.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        num_blocks: int = 3,
        out_level: int = 1,
        in_index: Sequence[int] | None = None,
        norm_cfg: dict | None = None,
        init_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        in_index = resolve_in_index('CCASegHead', in_channels, in_index)
        num_levels = len(in_channels)
        if num_blocks < 1:
            raise ValueError(f'CCASegHead: num_blocks must be at least 1, but is {num_blocks}.')
        if not 0 <= out_level < num_levels:
            raise ValueError(
                f'CCASegHead: out_level must be one of the {num_levels} levels of in_channels, '
                f'0 to {num_levels - 1}, but is {out_level}.'
            )
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
        self.out_level = out_level
        levels = range(num_levels)
        # Levels finer than out_level work at its resolution.
        resolution = [max(level, out_level) for level in levels]

        self.pools = nn.ModuleList(
            nn.ModuleList(PooledProjection(in_channels[source]) for source in range(target))
            for target in range(out_level, num_levels)
        )
        self.key_injections = nn.ModuleList(
            nn.ModuleList(
                SemanticInjection(
                    in_channels[source - 1],
                    in_channels[source],
                    norm_cfg,
                    upsample='after_conv' if resolution[source] > resolution[level] else None,
                )
                for source in range(1, num_levels)
            )
            for level in levels
        )
        self.attentions = nn.ModuleList(
            nn.ModuleList(
                ConvCrossAttention(
                    in_channels[level],
                    in_channels[-1],
                    kernel_size=3 if level == levels[-1] else 5,
                    strip_sizes=(5, 9, 13) if level == levels[-1] else (7, 11, 21),
                    norm_cfg=norm_cfg,
                )
                for _ in range(num_blocks)
            )
            for level in levels
        )
        self.refinements = nn.ModuleList(
            SemanticInjection(width, width, norm_cfg, act_cfg=dict(type='ReLU'))
            for width in in_channels
        )
        self.fusions = nn.ModuleList(
            SemanticInjection(
                in_channels[source - 1],
                in_channels[source],
                norm_cfg,
                upsample='after_norm' if source > out_level else None,
            )
            for source in range(1, num_levels)
        )
        self.bottleneck = ConvModule(in_channels[-1], channels, 1, norm_cfg=norm_cfg)
        self.released_keys = ccaseg_key_table(num_levels, num_blocks, out_level)
        self.released_keys.register(self)
        PointwiseConv2d.convert(self)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Predict the class scores.

        Args:
            inputs (Sequence[Tensor]): Backbone outputs, each (B, C_i, H_i, W_i).

        Returns:
            Tensor: Logits (B, num_classes, H, W) at the resolution of ``out_level``.
        """
        features = self._transform_inputs(inputs)
        if features[0].is_cpu:
            # Depthwise strips along rows run several times faster there in this layout.
            features = [x.contiguous(memory_format=torch.channels_last) for x in features]
        # All levels up to a resolution, brought to it: what queries and keys start from.
        aligned = [self._align(features, target) for target in range(self.out_level, len(features))]

        refined: list[Tensor] = []  # from `level + 1` to the coarsest
        for level in reversed(range(len(features))):
            maps = aligned[max(level - self.out_level, 0)][: level + 1]
            query = maps[-1]
            key = self._build_key(level, maps + refined)
            x = query
            for attention in self.attentions[level]:
                x = attention(x, key)
            refined.insert(0, self.refinements[level](query, x))

        x = refined[0]
        for fusion, semantics in zip(self.fusions, refined[1:], strict=True):
            x = fusion(x, semantics)
        return self.cls_seg(self.bottleneck(x)).contiguous()

    def _align(self, features: list[Tensor], target: int) -> list[Tensor]:
        size = features[target].shape[2:]
        pools = self.pools[target - self.out_level]
        pooled = [pool(x, size) for pool, x in zip(pools, features[:target], strict=True)]
        return [*pooled, features[target]]

    def _build_key(self, level: int, maps: list[Tensor]) -> Tensor:
        key = maps[0]
        for injection, semantics in zip(self.key_injections[level], maps[1:], strict=True):
            key = injection(key, semantics)
        return key
