"""CGRSeg: context-guided spatial feature reconstruction (ECCV 2024)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ContextBlock, ConvModule, build_norm_layer
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.checkpoints.cgrseg import cgrseg_key_table
from segheads.layers import PointwiseConv2d, adaptive_avg_pool2d, sum_over_pixels

from .arguments import resolve_in_index


class RectangularAttention(nn.Module):
    """Rectangular self-calibration attention (RCA).

    The means along both axes add up to a map that outlines rectangles; a horizontal and a
    vertical strip convolution fit their shape to the foreground. The result weighs local details.

    Args:
        channels (int): Width.
        strip_size (int): Length of the strips.
        square_size (int): Edge of the square kernel that takes the local details.
        strip_reduction (int): Factor by which the strips narrow the map; the strips are depthwise
            when it is 1.
        norm_cfg (dict): Norm layer.
    """

    fused_pairs = (('horizontal', 'norm'),)  # for `segheads.fuse`

    def __init__(
        self,
        channels: int,
        strip_size: int,
        square_size: int,
        strip_reduction: int,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        hidden = channels // strip_reduction
        padding = strip_size // 2
        self.local = nn.Conv2d(
            channels, channels, square_size, padding=square_size // 2, groups=channels
        )
        self.horizontal = nn.Conv2d(
            channels, hidden, (1, strip_size), padding=(0, padding), groups=hidden
        )
        self.norm = build_norm_layer(norm_cfg, hidden)[1]
        self.vertical = nn.Conv2d(
            hidden, channels, (strip_size, 1), padding=(padding, 0), groups=hidden
        )

    def forward(self, x: Tensor) -> Tensor:
        """Calibrate (B, C, H, W)."""
        rows, columns = x.mean(dim=3, keepdim=True), x.mean(dim=2, keepdim=True)
        shape = F.relu(self.norm(self._convolve_rectangles(rows, columns)))
        return self.vertical(shape).sigmoid() * self.local(x)

    def _convolve_rectangles(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Apply ``horizontal`` to the sum of (B, C, H, 1) and (B, C, 1, W)."""
        strip = self.horizontal
        if strip.groups < strip.in_channels:
            return strip(rows + columns)
        # Along a row its mean is constant: of the kernel only the sum matters, less at the borders.
        inside = F.conv2d(
            torch.ones_like(columns[:1]), strip.weight, padding=strip.padding, groups=strip.groups
        )
        return torch.addcmul(strip(columns), rows, inside)


class RectangularCalibration(nn.Module):
    """Rectangular self-calibration module (RCM): ``x + gamma * MLP(Norm(RCA(x)))``.

    Args:
        channels (int): Width.
        strip_size (int): Length of the strips of its attention.
        square_size (int): Edge of the square kernel of its attention.
        mlp_ratio (float): Hidden width of the MLP, relative to ``channels``.
        norm_cfg (dict): Norm layer.
        strip_reduction (int): Factor by which the strips narrow the map. Default: 1.
    """

    fused_pairs = (('norm', 'mlp.0'),)  # for `segheads.fuse`

    def __init__(
        self,
        channels: int,
        strip_size: int,
        square_size: int,
        mlp_ratio: float,
        norm_cfg: dict,
        strip_reduction: int = 1,
    ) -> None:
        super().__init__()
        hidden = int(mlp_ratio * channels)
        self.attention = RectangularAttention(
            channels, strip_size, square_size, strip_reduction, norm_cfg
        )
        self.norm = build_norm_layer(norm_cfg, channels)[1]
        self.mlp = nn.Sequential(
            nn.Conv2d(channels, hidden, 1), nn.GELU(), nn.Conv2d(hidden, channels, 1)
        )
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Calibrate (B, C, H, W)."""
        return torch.addcmul(x, self.gamma[:, None, None], self.mlp(self.norm(self.attention(x))))


class ContextFusion(nn.Module):
    """Weigh a local map by the context of its level.

    Args:
        in_channels (int): Width of both maps.
        out_channels (int): Width of the output.
        norm_cfg (dict): Norm layer.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict) -> None:
        super().__init__()
        self.local = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)
        self.context = ConvModule(in_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None)

    def forward(self, local: Tensor, context: Tensor) -> Tensor:
        """Combine (B, C_in, H, W) and (B, C_in, h, w) into (B, C_out, H, W)."""
        weight = F.hardsigmoid(self.context(context))
        return self.local(local) * resize(
            weight, local.shape[2:], mode='bilinear', align_corners=False
        )


class DynamicPrototypeGuidance(ContextBlock):
    """Channel weights of an image from the embeddings of its classes (DPG).

    It is the context block of GCNet up to the point where that would weigh its own input:
    attention pools the classes, and a bottleneck turns the result into one weight per channel.

    Args:
        channels (int): Width of the embeddings.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, ratio=1.0, fusion_types=('channel_mul',))

    def forward(self, class_embeddings: Tensor) -> Tensor:
        """Turn class embeddings (B, C, K, 1) into weights (B, C, 1, 1) between 0 and 1."""
        return self.channel_mul_conv(self.spatial_pool(class_embeddings)).sigmoid()


@MODELS.register_module()
class CGRSegHead(BaseDecodeHead):
    """Decode head of CGRSeg.

    Implements "Context-Guided Spatial Feature Reconstruction for Efficient Semantic Segmentation"
    (Ni et al., ECCV 2024, https://arxiv.org/abs/2405.06228). The levels, pooled to one small map,
    give a pyramid context. From coarse to fine, each level is then reconstructed by an RCM and
    weighed by its share of the context. Coarse logits gather an embedding of each class; these
    guide the final ones, which come from the same classifier, at the resolution of the finest
    level. As released, the coarse logits have no loss of their own.

    The arguments and the terms of the paper:

    =========================  ============================================  ======================
    argument                   paper                                         released name
    =========================  ============================================  ======================
    in_channels, in_index      levels at strides 8, 16 and 32                same
    channels                   width of the reconstructed features           same
    num_context_blocks         RCMs that extract the pyramid context         next_repeat
    context_strip_size         strip length of these RCMs                    neck_size
    strip_size                 strip length of the RCMs that reconstruct     dw_size
    square_size                kernel of the local details in every RCM      square_kernel_size
    strip_reduction            width of the map over that of the strips, in  ratio
                               the RCMs that reconstruct
    mlp_ratio                  expansion of the MLP of every RCM             mr
    depthwise_embedding        whether the 1x1 convolution before the        is_dw
                               coarse logits is depthwise
    (always RCA)               token mixer of the RCMs                       module
    =========================  ============================================  ======================

    Args:
        in_channels (Sequence[int]): Widths of the levels, from fine to coarse.
        channels (int): Width of the reconstructed features: 128 in variant T, 256 in B and L.
        in_index (Sequence[int], optional): Which backbone outputs the levels are. Default: the
            first ``len(in_channels)``.
        num_context_blocks (int): RCMs on the pooled levels: 5 in T and L, 6 in B. Default: 5.
        context_strip_size (int): Strip length of these RCMs, odd: 11 in T and B, 9 in L.
            Default: 11.
        strip_size (int): Strip length of the RCMs of the levels, odd: 11 in T and B, 9 in L.
            Default: 11.
        square_size (int): Edge of the square kernel of every RCM, odd. Default: 3.
        strip_reduction (int): Factor by which the strips narrow the levels; it must divide their
            widths. Those of the context never do. Default: 1.
        mlp_ratio (float): Hidden width of the MLP of every RCM, relative to its input. Default: 2.
        depthwise_embedding (bool): Whether the 1x1 convolution before the coarse logits only
            scales each channel. Default: True.
        norm_cfg (dict, optional): Norm layer. Default: dict(type='BN').
        **kwargs: Arguments of :class:`mmseg.models.decode_heads.BaseDecodeHead`, such as
            ``num_classes``, ``dropout_ratio``, ``loss_decode`` and ``align_corners``. The last
            acts on the loss and the prediction only.

    Raises:
        ValueError: If the levels do not fit together, a kernel size is even, or a width cannot be
            divided as asked.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        *,
        in_index: Sequence[int] | None = None,
        num_context_blocks: int = 5,
        context_strip_size: int = 11,
        strip_size: int = 11,
        square_size: int = 3,
        strip_reduction: int = 1,
        mlp_ratio: float = 2,
        depthwise_embedding: bool = True,
        norm_cfg: dict | None = None,
        **kwargs: Any,
    ) -> None:
        in_index = resolve_in_index('CGRSegHead', in_channels, in_index)
        if num_context_blocks < 1:
            raise ValueError(
                f'CGRSegHead: num_context_blocks must be at least 1, but is {num_context_blocks}.'
            )
        kernel_sizes = dict(
            context_strip_size=context_strip_size, strip_size=strip_size, square_size=square_size
        )
        for name, size in kernel_sizes.items():
            if size < 1 or size % 2 == 0:
                raise ValueError(
                    f'CGRSegHead: {name} must be an odd number, so that maps keep their size, but '
                    f'is {size}.'
                )
        if strip_reduction < 1 or any(width % strip_reduction for width in in_channels):
            raise ValueError(
                f'CGRSegHead: strip_reduction must divide each width of in_channels '
                f'{list(in_channels)}, but is {strip_reduction}.'
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
        self.context_blocks = nn.Sequential(
            *(
                RectangularCalibration(
                    sum(in_channels), context_strip_size, square_size, mlp_ratio, norm_cfg
                )
                for _ in range(num_context_blocks)
            )
        )
        self.top_down = nn.ModuleList(nn.Conv2d(channels, width, 1) for width in in_channels[:-1])
        self.reconstructions = nn.ModuleList(
            RectangularCalibration(
                width, strip_size, square_size, mlp_ratio, norm_cfg, strip_reduction
            )
            for width in in_channels
        )
        self.fusions = nn.ModuleList(
            ContextFusion(width, channels, norm_cfg) for width in in_channels
        )
        self.coarse_embedding = ConvModule(
            channels,
            channels,
            1,
            groups=channels if depthwise_embedding else 1,
            norm_cfg=norm_cfg,
            act_cfg=self.act_cfg,
        )
        self.guidance = DynamicPrototypeGuidance(channels)
        self.released_keys = cgrseg_key_table(len(in_channels), num_context_blocks)
        self.released_keys.register(self)
        PointwiseConv2d.convert(self)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Predict the class scores.

        Args:
            inputs (Sequence[Tensor]): Backbone outputs, each (B, C_i, H_i, W_i).

        Returns:
            Tensor: Logits (B, num_classes, H, W) at the resolution of the finest level.
        """
        features = self._transform_inputs(inputs)
        if features[0].is_cpu and not self.training:
            # Resizing is faster there in this layout, the gradients of norms are not.
            features = [x.contiguous(memory_format=torch.channels_last) for x in features]
        x = self._reconstruct(features, self._pyramid_context(features))
        pixels = x.flatten(2)  # (B, C, H * W)
        # A bias would not change where the coarse logits of a class are large.
        coarse_logits = self._classifier(x.new_ones(*x.shape[:2])) @ self._embed(x).flatten(2)
        where_classes_are = coarse_logits.softmax(dim=2)  # (B, K, H * W)
        class_embeddings = sum_over_pixels(pixels, where_classes_are.transpose(1, 2))  # (B, C, K)
        weight = 1 + self.guidance(class_embeddings[..., None])
        kernel = self._classifier(weight.flatten(1))
        logits = torch.baddbmm(self.conv_seg.bias[:, None], kernel, pixels)
        return logits.unflatten(2, x.shape[2:])

    def _classifier(self, weight: Tensor) -> Tensor:
        """Return the kernel of ``cls_seg`` (B, K, C) for a map weighed by (B, C)."""
        # The kernel is weighed in place of the map, which is far larger. Dropout concerns whole
        # channels, so that it draws and does the same here.
        if self.dropout is not None:
            weight = self.dropout(weight[..., None, None]).flatten(1)
        return self.conv_seg.weight.flatten(1) * weight[:, None]

    def _embed(self, x: Tensor) -> Tensor:
        embedding = self.coarse_embedding
        if embedding.conv.groups == 1:
            return embedding(x)
        # A scale per channel; as a convolution it would be one call per channel on a CPU.
        x = x * embedding.conv.weight[:, 0]
        if embedding.conv.bias is not None:  # once `segheads.fuse` has folded the norm
            x = x + embedding.conv.bias[:, None, None]
        x = embedding.norm(x)
        return embedding.activate(x) if embedding.with_activation else x

    def _pyramid_context(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        height, width = features[-1].shape[2:]
        # Half the resolution of the coarsest level, rounded up.
        size = ((height + 1) // 2, (width + 1) // 2)
        pooled = torch.cat([adaptive_avg_pool2d(x, size) for x in features], dim=1)
        norm = self.context_blocks[0].norm
        if norm.training and isinstance(norm, nn.BatchNorm2d) and pooled[:, 0].numel() == 1:
            raise ValueError(
                'CGRSegHead: batch norm cannot learn from a single image of 64 pixels or less per '
                'side, whose pyramid context is one pixel; use a larger crop or batch.'
            )
        return self.context_blocks(pooled).split(self.in_channels, dim=1)

    def _reconstruct(self, features: list[Tensor], contexts: Sequence[Tensor]) -> Tensor:
        x = self.fusions[-1](self.reconstructions[-1](features[-1]), contexts[-1])
        for level in reversed(range(len(features) - 1)):
            local = features[level]
            # A 1x1 convolution commutes with interpolation, and costs less before it.
            x = self.top_down[level](x)
            x = resize(x, local.shape[2:], mode='bilinear', align_corners=False)
            local = self.reconstructions[level](local + x)
            x = self.fusions[level](local, contexts[level])
        return x
