"""Infinite logits and NaN in a cross entropy that is computed tile by tile.

A tile comes from products of matrices, most of whose entries are 0. Zero times infinity is no
number: one such logit would spoil all pixels of its tile, and with them all logits that it needs.
"""

import torch
from torch import Tensor

from segheads.layers.resized_side import ResizedSide
from segheads.layers.size_tables import kept_per_size

# What stands for minus infinity: any share of it leaves nothing of a probability.
LOWEST = -1e30
# No loss of finite logits is as large.
LARGEST_LOSS = 1e15


class NonfiniteLogits:
    """Takes what is not finite out of logits, and puts what it does into losses and gradients.

    Nothing here asks whether there is any: that would mean to wait for the device. The losses of
    pixels that infinity or NaN reaches are NaN, and so are the gradients of all logits that such a
    pixel needs. Where minus infinity reaches a pixel, its class has no probability there; where all
    classes of a cell have none, it is as NaN. PyTorch's own interpolation makes more of it NaN:
    there an infinite logit also spoils pixels in which its weight is 0.

    Args:
        source (Tensor): Scores of the classes (B, h, w, C).
        size (tuple[int, int]): Height and width to resize to.
        align_corners (bool): Whether the corner pixels keep their places.

    Attributes:
        replaced (Tensor): The scores with finite stand-ins.
    """

    def __init__(self, source: Tensor, size: tuple[int, int], align_corners: bool) -> None:
        self._rows, self._columns = (
            _reach(length, extent, align_corners, source.dtype, source.device)
            for length, extent in zip(source.shape[1:3], size, strict=True)
        )
        # NaN and infinity are the highest of all; so is minus infinity if there is nothing else.
        spoils = source.amax(dim=3).isfinite().logical_not().to(source.dtype)
        self._spoilt = self._rows @ spoils @ self._columns.t() > 0  # (B, H, W)
        self.replaced = source.nan_to_num(nan=0, posinf=0, neginf=LOWEST)

    def restore(self, losses: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Put what was taken out into what was computed without it.

        Args:
            losses (Tensor): Losses of the pixels (B, H, W).
            weight (Tensor): Weight of each pixel (B, H, W).
            gradient (Tensor): Gradient of the total (B, h, w, C), or empty.

        Returns:
            tuple[Tensor, Tensor]: The losses and the gradient.
        """
        losses = losses.masked_fill(losses > LARGEST_LOSS, float('inf'))
        losses = losses.masked_fill(self._spoilt & (weight != 0), float('nan'))
        if gradient.numel():
            spoilt = self._spoilt.to(gradient.dtype)
            spoilt = self._rows.t() @ spoilt @ self._columns > 0  # (B, h, w)
            gradient = gradient.masked_fill(spoilt[..., None], float('nan'))
        return losses, gradient


@kept_per_size
def _reach(
    length: int, extent: int, align_corners: bool, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """Tell which cells have a weight in which pixels: 1 or 0, (extent, length)."""
    side = ResizedSide.identity(length, dtype, device).resize(extent, align_corners)
    return (side.weights.t() != 0).to(dtype)
