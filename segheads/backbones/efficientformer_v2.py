"""EfficientFormerV2: timm's network as an encoder for dense prediction."""

from collections import OrderedDict

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from segheads.checkpoints.cgrseg import (
    efficientformer_v2_key_table,
    fit_to_encoder,
    unwrap_classification_file,
)

TIMM_NAMES = {
    'S0': 'efficientformerv2_s0.snap_dist_in1k',
    'S1': 'efficientformerv2_s1.snap_dist_in1k',
    'S2': 'efficientformerv2_s2.snap_dist_in1k',
    'L': 'efficientformerv2_l.snap_dist_in1k',
}
# The tables of position biases cover the tokens of an image of this size, as released.
POSITION_IMAGE_SIZE = 512


class AnySizeAttention(nn.Module):
    """An attention of timm's EfficientFormerV2, for maps of any size.

    timm fixes the number of tokens at construction. This one takes over the layers of timm's and
    counts the tokens of its input. As in the authors' segmentation models, the biases between all
    tokens of a 512x512 image form a matrix (heads, queries, keys) that is resized like an image to
    the tokens at hand. Away from 512x512 that is no longer a function of relative positions; the
    models were trained and evaluated so.

    The mixing across heads between the scores and the values rules out a fused attention.

    Args:
        attention (nn.Module): timm's ``Attention2d`` or ``Attention2dDownsample``, built for an
            image of 512x512.
    """

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        self.scale = attention.scale
        for name, child in attention.named_children():
            if name != 'upsample':
                self.add_module(name, child)
        self.attention_biases = attention.attention_biases
        self.register_buffer('bias_indices', attention.attention_bias_idxs, persistent=False)
        # An attention at half resolution returns to that of its input; the one that
        # down-samples does not, nor does it mix heads.
        self.returns_to_input_size = getattr(attention, 'stride_conv', None) is not None
        for optional in ('stride_conv', 'talking_head1', 'talking_head2'):
            if getattr(self, optional, None) is None:
                self.add_module(optional, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Attend within (B, C, H, W); queries are fewer than keys where it down-samples."""
        size = x.shape[2:]
        x = self.stride_conv(x)
        query, key, value = self.q(x), self.k(x), self.v(x)
        local = self.v_local(value)

        query, key, value = (
            tokens.flatten(2).unflatten(1, (self.num_heads, -1)) for tokens in (query, key, value)
        )  # (B, heads, C / heads, tokens)
        scores = query.transpose(2, 3) @ key * self.scale
        scores = scores + self._position_biases(scores.shape[2:])
        weights = self.talking_head2(self.talking_head1(scores).softmax(dim=-1))

        x = (value @ weights.transpose(2, 3)).reshape(local.shape) + local
        if self.returns_to_input_size:
            x = resize(x, size, mode='bilinear', align_corners=False)
        return self.proj(self.act(x))

    def _position_biases(self, size: torch.Size) -> Tensor:
        biases = self.attention_biases.index_select(1, self.bias_indices.flatten())
        biases = biases.unflatten(1, self.bias_indices.shape)
        # To resize to the same size changes nothing, but takes a quarter of the encoder's time. A
        # symbolic size is not compared: an export would then refuse images of just this size.
        symbolic = any(isinstance(tokens, torch.SymInt) for tokens in size)
        if not symbolic and size == biases.shape[1:]:
            return biases
        return resize(biases[None], size, mode='bicubic', align_corners=False)


@MODELS.register_module()
class EfficientFormerV2(BaseModule):
    """EfficientFormerV2 encoder, for images of any size.

    From "Rethinking Vision Transformers for MobileNet Size and Speed" (Li et al., ICCV 2023,
    https://arxiv.org/abs/2212.08059), with the relative-position biases of the segmentation
    models of CGRSeg. Parameters have timm's names; the authors' load as well: ImageNet weights
    (``eformer_s1_450.pth`` and the like), and encoders within CGRSeg models. ImageNet weights of
    either source leave the position biases at zero, as in the authors' training.

    The four outputs have strides 4, 8, 16 and 32 and these widths:

    ====  =================
    arch  widths
    ====  =================
    S0    32, 48, 96, 176
    S1    32, 48, 120, 224
    S2    32, 64, 144, 288
    L     40, 80, 192, 384
    ====  =================

    Args:
        arch (str): 'S0', 'S1', 'S2' or 'L'.
        in_channels (int): Channels of the image. Default: 3.
        drop_path_rate (float, optional): Largest rate of stochastic depth. Default: None, which is
            that of ``arch``: 0 for S0 and S1, 0.02 for S2, 0.1 for L.
        norm_cfg (dict, optional): Norm layer. Default: dict(type='BN').
        pretrained (bool): Whether ``init_weights`` downloads timm's ImageNet weights. Weights on
            disk are named by ``init_cfg`` instead. Default: False.
        init_cfg (dict, optional): Such as dict(type='Pretrained', checkpoint='eformer_s1_450.pth');
            a ``.safetensors`` file works too. Default: None.

    Raises:
        ValueError: If ``arch`` is unknown, or ``pretrained`` and ``init_cfg`` are both given.
        ImportError: If timm is not installed.
    """

    def __init__(
        self,
        arch: str = 'S1',
        *,
        in_channels: int = 3,
        drop_path_rate: float | None = None,
        norm_cfg: dict | None = None,
        pretrained: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        if arch not in TIMM_NAMES:
            raise ValueError(
                f'EfficientFormerV2: arch must be one of {list(TIMM_NAMES)}, but is {arch!r}.'
            )
        if pretrained and init_cfg:
            raise ValueError(
                'EfficientFormerV2: give either pretrained=True, which downloads weights, or an '
                'init_cfg that names a file, not both.'
            )
        super().__init__(init_cfg)
        self.arch = arch
        self.pretrained = pretrained
        network = _build_timm_network(arch, in_channels, drop_path_rate)
        _adapt(network, norm_cfg or dict(type='BN'))
        self.stem = network.stem
        self.stages = network.stages

        self._register_load_state_dict_pre_hook(unwrap_classification_file)
        self.released_keys = efficientformer_v2_key_table([len(s.blocks) for s in self.stages])
        self.released_keys.register(self)
        self._register_load_state_dict_pre_hook(fit_to_encoder, with_module=True)

    def init_weights(self) -> None:
        """Initialise as the authors do, then load pretrained weights if there are any.

        Raises:
            RuntimeError: If ``pretrained`` weights cannot be downloaded.
        """
        for stage in self.stages:
            for block in stage.blocks:
                for layer in (block.mlp.fc1, block.mlp.fc2):
                    nn.init.trunc_normal_(layer.conv.weight, std=0.02)
                    nn.init.zeros_(layer.conv.bias)
        super().init_weights()
        if self.pretrained:
            self.load_state_dict(_download(TIMM_NAMES[self.arch]), strict=False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode an image.

        Args:
            x (Tensor): Image (B, in_channels, H, W), 32 pixels or more per side.

        Returns:
            tuple[Tensor, ...]: Four maps (B, C_i, H_i, W_i), H_i being H / stride rounded up.
        """
        x = self.stem(x)
        outputs = []
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return tuple(outputs)


def _build_timm_network(arch: str, in_channels: int, drop_path_rate: float | None) -> nn.Module:
    # Here, because timm needs torchvision, without which all the rest of the package works.
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f'EfficientFormerV2 is built by timm, which cannot be imported ({error}): run '
            '`pip install timm`.'
        ) from error

    options = {} if drop_path_rate is None else dict(drop_path_rate=drop_path_rate)
    return timm.create_model(
        TIMM_NAMES[arch],
        in_chans=in_channels,
        img_size=POSITION_IMAGE_SIZE,
        num_classes=0,
        **options,
    )


def _adapt(module: nn.Module, norm_cfg: dict) -> None:
    """Put attention for any size, and norms by ``norm_cfg``, into timm's network."""
    from timm.layers import ConvNormAct
    from timm.models.efficientformer_v2 import Attention2d, Attention2dDownsample

    for name, child in module.named_children():
        if isinstance(child, ConvNormAct):
            # timm's norm contains the activation, and tools that exchange norms (such as those
            # for synchronised ones) would lose it.
            norm = build_norm_layer(norm_cfg, child.conv.out_channels)[1]
            layers = OrderedDict(conv=child.conv, bn=norm, act=child.bn.act)
            setattr(module, name, nn.Sequential(layers))
        elif isinstance(child, nn.BatchNorm2d):
            setattr(module, name, build_norm_layer(norm_cfg, child.num_features)[1])
        else:
            _adapt(child, norm_cfg)
            if isinstance(child, (Attention2d, Attention2dDownsample)):
                setattr(module, name, AnySizeAttention(child))


def _download(name: str) -> dict[str, Tensor]:
    import timm

    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # each version of the hub's client raises its own
        raise RuntimeError(
            f'EfficientFormerV2: the weights {name} cannot be downloaded ({error}). Where there is '
            'no network, fetch the file elsewhere and name it by init_cfg=dict(type="Pretrained", '
            'checkpoint=...) instead of pretrained=True.'
        ) from error
