"""Cross entropy of up-sampled logits without the up-sampled logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from segheads.layers.tiled_resize import bilinear_tiles


# Compiled, the loop over the tiles would be unrolled: it runs as it is, between two graphs.
@torch.compiler.disable
def tiled_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Up-sample logits bilinearly and compare them with labels, tile by tile.

    The gradient is computed in the same pass: at no time are there more up-sampled logits than
    those of a tile. It has the same value in every run, on a GPU too.

    Args:
        logits (Tensor): Scores of the classes (B, C, h, w). Computed is in float32 or better.
        labels (Tensor): Class of each pixel (B, H, W). A pixel without a class may have any label
            and must have no weight.
        weight (Tensor): Weight of each pixel (B, H, W); it gets no gradient.
        align_corners (bool): As in :func:`torch.nn.functional.interpolate`.

    Returns:
        tuple[Tensor, Tensor, Tensor]: The weighted sum of the losses of all pixels, a scalar; the
        losses (B, H, W) without weight and without gradient, 0 where a pixel has no weight;
        whether a pixel's label has the highest score, (B, H, W).
    """
    # A matrix product would spread what is not finite over a whole tile.
    if logits.device.type == 'cpu' and not logits.isfinite().all():
        return _full_size_cross_entropy(logits, labels, weight, align_corners)
    return _TiledCrossEntropy.apply(logits, labels, weight, align_corners)


def _full_size_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the same as MMSegmentation does."""
    with torch.autocast(logits.device.type, enabled=False):
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        scores = F.interpolate(
            scores, labels.shape[1:], mode='bilinear', align_corners=align_corners
        )
        labels = labels.long().clamp(0, scores.shape[1] - 1)
        losses = F.cross_entropy(scores, labels, reduction='none').masked_fill(weight == 0, 0)
        total = (losses * weight.to(scores.dtype)).sum()
    return total, losses.detach(), scores.argmax(dim=1) == labels


class _TiledCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx, logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        # Autocast would turn the matrix products to 16 bits.
        with torch.autocast(logits.device.type, enabled=False):
            source = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
            source = source.permute(0, 2, 3, 1).contiguous()
            weight = weight.to(source.dtype)
            gradient = torch.zeros_like(source) if ctx.needs_input_grad[0] else None
            losses = source.new_empty(labels.shape)
            correct = torch.empty_like(labels, dtype=torch.bool)
            tiles = bilinear_tiles(
                tuple(logits.shape[2:]),
                tuple(labels.shape[1:]),
                align_corners,
                logits.shape[1],
                source.dtype,
                source.device,
            )
            for image in range(len(source)):
                for tile in tiles:
                    place = (image, tile.rows, tile.columns)
                    scores = tile.resize(source[image])
                    losses[place], correct[place] = _compare(scores, labels[place], weight[place])
                    if gradient is not None:
                        tile.add_gradient(scores, gradient[image])
        ctx.logits_dtype = logits.dtype
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(losses, correct)
        ctx.set_materialize_grads(False)
        return (losses * weight).sum(), losses, correct

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad_total: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        if grad_total is None:
            return None, None, None, None
        gradient = (gradient * grad_total).permute(0, 3, 1, 2)
        return gradient.to(ctx.logits_dtype), None, None, None


def _compare(scores: Tensor, labels: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the losses of a tile, and turn its scores into their gradient in place."""
    pixels, weight = scores.flatten(0, 1), weight.flatten()
    labels = labels.flatten()[:, None].long().clamp(0, pixels.shape[1] - 1)
    pixels -= pixels.amax(dim=1, keepdim=True)
    label_score = pixels.gather(1, labels)[:, 0]
    total = pixels.exp_().sum(dim=1)
    losses = (total.log() - label_score).masked_fill_(weight == 0, 0)
    # The probabilities, less one at the label.
    pixels *= (weight / total)[:, None]
    pixels.scatter_(1, labels, (weight * torch.expm1(-losses))[:, None])
    shape = scores.shape[:2]
    return losses.view(shape), (label_score == 0).view(shape)
