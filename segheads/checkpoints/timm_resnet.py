"""Names of ResNet-C and ResNet-D in timm; those of a plain ResNet are the same everywhere."""

from collections.abc import MutableMapping
from typing import Any

from torch import Tensor, nn

from .key_table import KeyTable

# The stem of three convolutions; the last norm of it stands outside in timm.
TIMM_STEM = KeyTable(
    {
        **{f'conv1.{index}': f'stem.{index}' for index in (0, 1, 3, 4, 6)},
        'bn1': 'stem.7',
    },
    unused=('fc',),
)


def translate_timm_resnet(
    encoder: nn.Module, state_dict: MutableMapping[str, Tensor], prefix: str, *_: Any
) -> None:
    """Translate timm's names into those of a ResNetV1c or ResNetV1d; a load-state-dict pre-hook.

    Args:
        encoder (nn.Module): A ResNet of MMSegmentation with a deep stem.
        state_dict (MutableMapping): The checkpoint; it is changed in place.
        prefix (str): Of the encoder's weights in it.
    """
    if f'{prefix}conv1.6.weight' in state_dict:
        TIMM_STEM.translate(state_dict, prefix)
