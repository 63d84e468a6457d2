"""1x1 convolutions, which are most of the work of the heads, at the full speed of a CPU."""

import platform

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segheads import compat

# Of smaller maps PyTorch gives none to oneDNN, and it would not pay.
ONEDNN_VALUES = 20480
HAS_ONEDNN = torch.backends.mkldnn.is_available() and platform.machine() in ('x86_64', 'AMD64')


def pointwise_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Apply a 1x1 convolution.

    In a process with one thread PyTorch computes it by the matrix products of MKL, which on an AMD
    processor reach half the rate of oneDNN or less, but leaves dilated convolutions to oneDNN. A
    kernel of one pixel has nothing to dilate: the result is the same.

    Args:
        x (Tensor): Map (B, C, H, W).
        weight (Tensor): Kernel (K, C, 1, 1).
        bias (Tensor, optional): Bias (K,). Default: None.

    Returns:
        Tensor: Map (B, K, H, W).
    """
    dilation = 2 if _prefers_onednn(x) else 1
    return F.conv2d(x, weight, bias, dilation=dilation)


def _prefers_onednn(x: Tensor) -> bool:
    # The heads are the same for exporters and compilers whatever the machine of the export.
    is_traced = compat.is_tracing() or torch.jit.is_tracing()
    if is_traced or not HAS_ONEDNN or not x.is_cpu:
        return False
    return x.dtype == torch.float32 and x.numel() > ONEDNN_VALUES


class PointwiseConv2d(nn.Conv2d):
    """A 1x1 convolution that :func:`pointwise_conv2d` computes."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, K, H, W)."""
        return pointwise_conv2d(x, self.weight, self.bias)

    @classmethod
    def convert(cls, module: nn.Module) -> None:
        """Make this the type of all convolutions of a module that are no more than that.

        Args:
            module (nn.Module): The module, of which nothing else changes.
        """
        for layer in module.modules():
            if (
                type(layer) is nn.Conv2d
                and (layer.kernel_size, layer.stride, layer.groups) == ((1, 1), (1, 1), 1)
                and layer.padding == (0, 0)
            ):
                layer.__class__ = cls
