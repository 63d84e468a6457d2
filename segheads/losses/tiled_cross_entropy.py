"""Cross entropy of up-sampled logits without the up-sampled logits."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from segheads.layers.nonfinite import all_finite
from segheads.layers.tiled_resize import bilinear_tiles

from .nonfinite_cross_entropy import NonfiniteLogits


def tiled_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Up-sample logits bilinearly and compare them with labels, tile by tile.

    The gradient is computed in the same pass: at no time are there more up-sampled logits than
    those of a tile. It has the same value in every run, on a GPU too. Nothing waits for the GPU,
    and for ``torch.compile`` all of it is one operator.

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
    with_gradient = torch.is_grad_enabled() and logits.requires_grad
    total, losses, correct, _ = _operator(
        logits, labels, weight.detach(), align_corners, with_gradient
    )
    return total, losses, correct


def compare_tiles(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool, with_gradient: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute what :func:`tiled_cross_entropy` returns and, with it, the gradient of the total.

    Args:
        logits (Tensor): Scores of the classes (B, C, h, w).
        labels (Tensor): Class of each pixel (B, H, W).
        weight (Tensor): Weight of each pixel (B, H, W).
        align_corners (bool): As in :func:`torch.nn.functional.interpolate`.
        with_gradient (bool): Whether the gradient is needed.

    Returns:
        tuple[Tensor, Tensor, Tensor, Tensor]: Total, losses, whether correct, and the gradient with
        the channels last, (B, h, w, C), or empty.
    """
    # Autocast would turn the matrix products to 16 bits.
    with torch.autocast(logits.device.type, enabled=False):
        source = logits.to(torch.promote_types(logits.dtype, torch.float32))
        source = source.permute(0, 2, 3, 1).contiguous()
        weight = weight.to(source.dtype)
        nonfinite = None
        # On a GPU asking whether there is anything would mean to wait.
        if logits.device.type != 'cpu' or not all_finite(source):
            nonfinite = NonfiniteLogits(source, tuple(labels.shape[1:]), align_corners)
            source = nonfinite.replaced
        gradient = torch.zeros_like(source) if with_gradient else source.new_empty(0)
        losses = source.new_empty(labels.shape)
        correct = torch.empty(labels.shape, dtype=torch.bool, device=labels.device)
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
                if with_gradient:
                    tile.add_gradient(scores, gradient[image])
        if nonfinite is not None:
            losses, gradient = nonfinite.restore(losses, weight, gradient)
        return (losses * weight).sum(), losses, correct, gradient


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


# Compiled, the loop over the tiles would be unrolled: to a compiler it is one operator.
_operator = torch.library.custom_op(
    'segheads::tiled_cross_entropy',
    compare_tiles,
    mutates_args=(),
    schema='(Tensor logits, Tensor labels, Tensor weight, bool align_corners, bool with_gradient)'
    ' -> (Tensor, Tensor, Tensor, Tensor)',
)


@_operator.register_fake
def _(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool, with_gradient: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dtype = torch.promote_types(logits.dtype, torch.float32)
    batch, channels, height, width = logits.shape
    size = (batch, height, width, channels) if with_gradient else (0,)
    return (
        logits.new_empty((), dtype=dtype),
        logits.new_empty(labels.shape, dtype=dtype),
        labels.new_empty(labels.shape, dtype=torch.bool),
        logits.new_empty(size, dtype=dtype),
    )


def _keep_gradient(
    ctx: FunctionCtx, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor, Tensor]
) -> None:
    _, *constants = output
    ctx.mark_non_differentiable(*constants)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(constants[-1])
    ctx.logits_dtype = inputs[0].dtype


@once_differentiable
def _scale_gradient(
    ctx: FunctionCtx, grad_total: Tensor | None, *_: None
) -> tuple[Tensor | None, ...]:
    (gradient,) = ctx.saved_tensors
    if grad_total is None:
        return (None,) * 5
    gradient = (gradient * grad_total).permute(0, 3, 1, 2)
    return gradient.to(ctx.logits_dtype), None, None, None, None


_operator.register_autograd(_scale_gradient, setup_context=_keep_gradient)
