"""Batch norms folded into the convolutions beside them, for deployment."""

import copy
from collections.abc import Iterator, Sequence

from mmcv.cnn import ConvModule
from mmseg.models.backbones.mscan import MSCABlock, OverlapPatchEmbed
from mmseg.models.backbones.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .mistakes import UserMistake

# What follows what inside the modules of others: pairs of paths to a convolution and a norm, in the
# order in which they are applied. Modules of this package say it themselves, in `fused_pairs`.
NEIGHBOURS: dict[type[nn.Module], Sequence[tuple[str, str]]] = {
    ConvModule: [('conv', 'norm')],
    ResNet: [('conv1', 'norm1')],
    BasicBlock: [('conv1', 'norm1'), ('conv2', 'norm2')],
    Bottleneck: [('conv1', 'norm1'), ('conv2', 'norm2'), ('conv3', 'norm3')],
    OverlapPatchEmbed: [('proj', 'norm')],
    MSCABlock: [('norm2', 'mlp.fc1')],
}


def fuse(model: nn.Module) -> nn.Module:
    """Fold batch norms into convolutions: the same outputs to rounding, with less work.

    In evaluation a batch norm is a scale and a shift per channel, which the convolution before it
    or the 1x1 convolution behind it can take over. What only applies a norm between other layers
    keeps it. The result is for inference: it has no norms to train, and its parameters are no
    longer those of the config's model, so load the checkpoint first.

    Args:
        model (nn.Module): A head, a segmentor or any other network, in evaluation mode. It is not
            changed.

    Returns:
        nn.Module: A copy with fewer batch norms.

    Raises:
        UserMistake: If the model, or a part of it, is in training mode.
    """
    if any(module.training for module in model.modules()):
        raise UserMistake(
            'segheads.fuse: the model is in training mode, where a batch norm depends on the batch '
            'and cannot be folded; call model.eval() first'
        )
    model = copy.deepcopy(model)
    for module in list(model.modules()):
        for first, second in _neighbours(module):
            if isinstance(first, nn.Conv2d) and _can_be_folded(second):
                _fold_into_previous(first, second)
                _remove(second, module)
            elif _can_be_folded(first) and isinstance(second, nn.Conv2d) and _is_pointwise(second):
                _fold_into_next(first, second)
                _remove(first, module)
    return model


def _neighbours(module: nn.Module) -> Iterator[tuple[nn.Module | None, nn.Module | None]]:
    """Find the layers of a module that are applied one right after the other."""
    if isinstance(module, nn.Sequential):
        layers = list(module)
        yield from zip(layers, layers[1:], strict=False)
    if isinstance(module, ConvModule) and (
        module.order[:2] != ('conv', 'norm') or module.with_spectral_norm
    ):
        return
    pairs = list(getattr(module, 'fused_pairs', ()))
    for kind, known in NEIGHBOURS.items():
        if isinstance(module, kind):
            pairs += known
    if isinstance(getattr(module, 'bn', None), nn.Module) and not isinstance(module, ConvModule):
        pairs.append(('conv', 'bn'))  # timm's blocks, which all follow this convention
    for first, second in pairs:
        yield _layer(module, first), _layer(module, second)


def _layer(module: nn.Module, path: str) -> nn.Module | None:
    for name in path.split('.'):
        module = getattr(module, name, None)
    return module


def _can_be_folded(layer: nn.Module | None) -> bool:
    return isinstance(layer, _BatchNorm) and layer.running_mean is not None


def _is_pointwise(conv: nn.Conv2d) -> bool:
    # Padding would border the shifted map with zeros that are not shifted.
    return conv.kernel_size == (1, 1) and conv.padding == (0, 0)


def _scale_and_shift(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    # In double precision, so that folding adds no more than the rounding of its result.
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        shift = shift + norm.bias.double()
    return scale, shift


def _fold_into_previous(conv: nn.Conv2d, norm: _BatchNorm) -> None:
    scale, shift = _scale_and_shift(norm)
    bias = shift if conv.bias is None else conv.bias.double() * scale + shift
    _set_parameters(conv, conv.weight.double() * scale[:, None, None, None], bias)


def _fold_into_next(norm: _BatchNorm, conv: nn.Conv2d) -> None:
    scale, shift = (x.view(conv.groups, 1, -1) for x in _scale_and_shift(norm))
    weight = conv.weight.double().view(conv.groups, -1, scale.shape[2])
    bias = (weight @ shift.transpose(1, 2)).flatten()
    if conv.bias is not None:
        bias = bias + conv.bias.double()
    _set_parameters(conv, (weight * scale).view(conv.weight.shape), bias)


def _set_parameters(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter(weight.detach().to(dtype), conv.weight.requires_grad)
    conv.bias = nn.Parameter(bias.detach().to(dtype), conv.weight.requires_grad)


def _remove(layer: nn.Module, module: nn.Module) -> None:
    """Put an identity in the place of a layer; names that MMCV and MMSeg refer to stay."""
    for parent in module.modules():
        for name, child in parent.named_children():
            if child is layer:
                setattr(parent, name, nn.Identity())
