"""MiT's attention without the weights that nobody reads."""

from typing import Any

from mmseg.models.backbones.mit import EfficientMultiheadAttention
from torch import Tensor, nn


class AttentionWithoutWeights(nn.MultiheadAttention):
    """Multi-head attention by :func:`torch.nn.functional.scaled_dot_product_attention`."""

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, **kwargs: Any
    ) -> tuple[Tensor, None]:
        """Attend as ``nn.MultiheadAttention``; in place of the weights there is None."""
        return super().forward(query, key, value, **{**kwargs, 'need_weights': False})


class LeanAttention:
    """Mixin of a segmentor: the attention of a ``MixVisionTransformer`` never keeps its weights.

    MMSegmentation's MiT asks for their mean over the heads and throws it away, for which PyTorch
    has to hold the whole matrix: 1 GiB in the first stage for an image of 1024x2048. Outputs,
    gradients and parameters are the same without.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for layer in self.backbone.modules():
            if isinstance(layer, EfficientMultiheadAttention):
                layer.attn.__class__ = AttentionWithoutWeights
