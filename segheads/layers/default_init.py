"""Initialisation by PyTorch's defaults, where MMCV and MMSegmentation have their own."""

from mmcv.cnn import ConvModule
from mmengine.registry import WEIGHT_INITIALIZERS
from torch import nn


class DefaultConvModule(ConvModule):
    """Convolution, norm and activation that keep PyTorch's default initialisation."""

    def init_weights(self) -> None:
        """Leave the weights as PyTorch has drawn them."""


@WEIGHT_INITIALIZERS.register_module(name='PyTorchDefault')
class PyTorchDefaultInit:
    """Draws the weights of every layer of a module again, as PyTorch does by default.

    ``init_cfg=dict(type='PyTorchDefault')`` brings a head of MMSegmentation to it.
    """

    def __call__(self, module: nn.Module) -> None:
        """Draw the weights.

        Args:
            module (nn.Module): The module; its weights change.
        """
        for layer in module.modules():
            if hasattr(layer, 'reset_parameters'):
                layer.reset_parameters()
