"""Files of timm's classifiers, and of others with the same networks, for an encoder of timm.

An encoder that yields feature maps has other names than the classifier that it is a part of, and
timm alone knows them, and how to convert what older or other files hold; so timm loads the file
into a network of its own, whose weights are handed on.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn

NETWORK = 'timm_model.'
# timm reports nothing of what a file lacks: a network that gets this everywhere shows it.
MARK = 0.37
TOLERANCE = 1e-3
# The first convolution of EfficientNet in the file of lukemelas/EfficientNet-PyTorch.
EFFICIENTNET_STEM = '_conv_stem.weight'


def translate_timm_encoder(
    backbone: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Translate the weights of a classifier into those of an encoder; a load-state-dict pre-hook.

    Args:
        backbone (nn.Module): A :class:`segheads.backbones.TIMMBackbone`.
        state_dict (MutableMapping): The checkpoint; it is changed in place, unless it has the
            names of the encoder, or nothing in it fits.
        prefix (str): Of the encoder's weights in it.
    """
    keys = [key for key in state_dict if key.startswith(prefix)]
    if not keys or any(key.startswith(f'{prefix}{NETWORK}') for key in keys):
        return
    weights = {
        key[len(prefix) :]: state_dict[key] for key in keys if isinstance(state_dict[key], Tensor)
    }
    try:
        fitting = encoder_weights(backbone.settings, weights)
    except Exception:  # filters of timm raise anything; whoever loads says that nothing fits
        return
    if not fitting:
        return
    for key in keys:
        del state_dict[key]
    state_dict.update({f'{prefix}{NETWORK}{name}': tensor for name, tensor in fitting.items()})


def encoder_weights(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Loads weights by timm, and returns those of them that an encoder has.

    Args:
        settings (Mapping[str, Any]): Arguments of ``timm.create_model``.
        weights (Mapping[str, Tensor]): Weights of a classifier by name.

    Returns:
        dict[str, Tensor]: Weights by the names of the encoder.
    """
    if EFFICIENTNET_STEM in weights:
        weights = _in_order_of_timm(settings['model_name'], weights)
    marked = {name: _marked(tensor) for name, tensor in weights.items()}
    first_conv = MARK * 3 / settings.get('in_chans', 3)  # timm adapts it to the channels
    shown = {
        name: tensor
        for name, tensor in _load(settings, marked).items()
        if _is_everywhere(tensor, MARK) or _is_everywhere(tensor, first_conv)
    }
    if any(tensor.is_meta for tensor in weights.values()):  # only names and shapes are asked for
        return {name: tensor.to('meta') for name, tensor in shown.items()}
    loaded = _load(settings, weights)
    return {name: loaded[name] for name in shown}


def _load(settings: Mapping[str, Any], weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    import timm

    with torch.device('cpu'):
        network = timm.create_model(
            **settings, pretrained=True, pretrained_cfg_overlay=dict(state_dict=dict(weights))
        )
    return network.state_dict()


def _marked(tensor: Tensor) -> Tensor:
    if not tensor.is_floating_point():
        return torch.zeros(tensor.shape, dtype=tensor.dtype, device='cpu')
    return torch.full(tensor.shape, MARK, dtype=tensor.dtype, device='cpu')


def _is_everywhere(tensor: Tensor, mark: float) -> bool:
    if not tensor.is_floating_point():
        return True
    return bool(((tensor - mark).abs() < TOLERANCE).all())


def _in_order_of_timm(model_name: str, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Gives weights of EfficientNet-PyTorch timm's names: the order of both is the same."""
    import timm

    with torch.device('meta'):
        names = timm.create_model(model_name).state_dict()
    same = len(names) == len(weights) and all(
        ours.shape == tensor.shape and name.rpartition('.')[2] == theirs.rpartition('.')[2]
        for (name, ours), (theirs, tensor) in zip(names.items(), weights.items(), strict=True)
    )
    return dict(zip(names, weights.values(), strict=True)) if same else weights
