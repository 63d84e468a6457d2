"""Cross entropy of up-sampled logits in two kernels, without the up-sampled logits.

The first kernel walks over the pixels: each interpolates its scores from four cells of the logits,
some classes at a time, and keeps their maximum, the sum of their exponentials and its loss. The
second walks over the cells of the logits and gathers the gradient from the pixels around each: it
interpolates the scores again, so that no two threads add to one value and the gradient has the
same bits in every run.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from segheads.layers.interpolation_table import interpolation_table

# One thread for each pixel or cell; the classes of a block are in its registers.
PIXELS = 128
CELLS = 32
THREADS_PER_WARP = 32


@triton.jit
def compare_pixels(
    logits,
    labels,
    weight,
    row_cell,
    row_share,
    column_cell,
    column_share,
    losses,
    correct,
    highest_score,
    probability_scale,
    label_gradient,
    num_classes,
    height,
    width,
    image_height,
    image_width,
    BLOCK_PIXELS: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
):
    """Compute the losses of a block of pixels, and what their gradients are computed from.

    ``probability_scale`` is what the exponential of a score, less the highest one, is multiplied by
    to be the weighted probability of the class; ``label_gradient`` is the gradient at the label.
    """
    image = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    num_pixels = image_height * image_width
    inside = pixel < num_pixels
    row = pixel // image_width
    column = pixel % image_width
    top = tl.load(row_cell + row, mask=inside, other=0)
    down = tl.load(row_share + row, mask=inside, other=0.0)
    left = tl.load(column_cell + column, mask=inside, other=0)
    right = tl.load(column_share + column, mask=inside, other=0.0)
    bottom = tl.minimum(top + 1, height - 1)
    next_left = tl.minimum(left + 1, width - 1)
    place = image * num_pixels + pixel
    label = tl.load(labels + place, mask=inside, other=0).to(tl.int32)

    highest = tl.full([BLOCK_PIXELS], -3.0e38, tl.float32)
    others = tl.zeros([BLOCK_PIXELS], tl.float32)
    label_score = tl.zeros([BLOCK_PIXELS], tl.float32)
    maps = logits + image * num_classes * height * width
    for start in range(0, num_classes, BLOCK_CLASSES):
        classes = start + tl.arange(0, BLOCK_CLASSES)[:, None]
        exists = (classes < num_classes) & inside[None, :]
        cells = classes * (height * width)
        top_left = tl.load(maps + cells + (top * width + left)[None, :], mask=exists, other=0.0)
        top_right = tl.load(
            maps + cells + (top * width + next_left)[None, :], mask=exists, other=0.0
        )
        low_left = tl.load(maps + cells + (bottom * width + left)[None, :], mask=exists, other=0.0)
        low_right = tl.load(
            maps + cells + (bottom * width + next_left)[None, :], mask=exists, other=0.0
        )
        top_left = top_left.to(tl.float32)
        top_right = top_right.to(tl.float32)
        at_left = top_left + down[None, :] * (low_left.to(tl.float32) - top_left)
        at_right = top_right + down[None, :] * (low_right.to(tl.float32) - top_right)
        scores = at_left + right[None, :] * (at_right - at_left)
        scores = tl.where(classes < num_classes, scores, float('-inf'))

        new_highest = tl.maximum(highest, tl.max(scores, axis=0))
        exponential = tl.exp(scores - new_highest[None, :])
        is_label = classes == label[None, :]
        others = others * tl.exp(highest - new_highest)
        others += tl.sum(tl.where(is_label, 0.0, exponential), axis=0)
        label_score += tl.sum(tl.where(is_label, scores, 0.0), axis=0)
        highest = new_highest

    of_label = tl.exp(label_score - highest)
    total = others + of_label
    pixel_weight = tl.load(weight + place, mask=inside, other=0.0)
    counts = pixel_weight != 0
    loss = tl.log(total) + (highest - label_score)
    tl.store(losses + place, tl.where(counts, loss, 0.0), mask=inside)
    tl.store(correct + place, label_score == highest, mask=inside)
    tl.store(highest_score + place, highest, mask=inside)
    tl.store(probability_scale + place, pixel_weight / total, mask=inside)
    tl.store(label_gradient + place, -pixel_weight * (others / total), mask=inside)


@triton.jit
def gather_gradient(
    logits,
    labels,
    highest_score,
    probability_scale,
    label_gradient,
    upstream,
    row_share,
    row_start,
    column_share,
    column_start,
    gradient,
    num_classes,
    height,
    width,
    image_height,
    image_width,
    BLOCK_CELLS: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
):
    """Gather the gradient of a block of cells in one row, for a block of classes."""
    row = tl.program_id(0) % height
    column = tl.program_id(0) // height * BLOCK_CELLS + tl.arange(0, BLOCK_CELLS)
    classes = tl.program_id(1) * BLOCK_CLASSES + tl.arange(0, BLOCK_CLASSES)[:, None]
    image = tl.program_id(2).to(tl.int64)
    exists = (classes < num_classes) & (column < width)[None, :]
    maps = image * num_classes * height * width
    cells = classes * (height * width)

    result = tl.zeros([BLOCK_CLASSES, BLOCK_CELLS], tl.float32)
    # The pixels around a cell lie between it and the cells above and below, left and right.
    for below in tl.static_range(2):
        top = tl.maximum(row - 1 + below, 0)
        bottom = tl.minimum(row + below, height - 1)
        first_row = tl.load(row_start + row + below)
        last_row = tl.load(row_start + row + below + 1)
        for behind in tl.static_range(2):
            left = tl.minimum(tl.maximum(column - 1 + behind, 0), width - 1)
            next_left = tl.minimum(column + behind, width - 1)
            first = tl.load(column_start + column + behind, mask=column < width, other=0)
            last = tl.load(column_start + column + behind + 1, mask=column < width, other=0)
            most = tl.max(last - first, axis=0)
            source = logits + maps + cells
            top_left = tl.load(source + (top * width + left)[None, :], mask=exists, other=0.0)
            top_right = tl.load(source + (top * width + next_left)[None, :], mask=exists, other=0.0)
            low_left = tl.load(source + (bottom * width + left)[None, :], mask=exists, other=0.0)
            low_right = tl.load(
                source + (bottom * width + next_left)[None, :], mask=exists, other=0.0
            )
            top_left = top_left.to(tl.float32)
            top_right = top_right.to(tl.float32)
            low_left = low_left.to(tl.float32)
            low_right = low_right.to(tl.float32)
            for pixel_row in range(first_row, last_row):
                down = tl.load(row_share + pixel_row)
                at_left = top_left + down * (low_left - top_left)
                at_right = top_right + down * (low_right - top_right)
                line = tl.zeros([BLOCK_CLASSES, BLOCK_CELLS], tl.float32)
                line_place = (image * image_height + pixel_row) * image_width
                for index in range(0, most):
                    pixel = first + index
                    between = pixel < last
                    place = line_place + pixel
                    right = tl.load(column_share + pixel, mask=between, other=0.0)
                    label = tl.load(labels + place, mask=between, other=-1).to(tl.int32)
                    highest = tl.load(highest_score + place, mask=between, other=float('inf'))
                    scale = tl.load(probability_scale + place, mask=between, other=0.0)
                    at_label = tl.load(label_gradient + place, mask=between, other=0.0)
                    scores = at_left + right[None, :] * (at_right - at_left)
                    of_scores = tl.exp(scores - highest[None, :]) * scale[None, :]
                    of_scores = tl.where(classes == label[None, :], at_label[None, :], of_scores)
                    reach = 1.0 - right if behind else right
                    line += of_scores * tl.where(between, reach, 0.0)[None, :]
                result += line * (1.0 - down if below else down)
    result *= tl.load(upstream).to(tl.float32)
    target = gradient + maps + cells + (row * width + column)[None, :]
    tl.store(target, result.to(gradient.dtype.element_ty), mask=exists)


def class_block(num_classes: int) -> int:
    """Choose how many classes a thread has in its registers; with 16 it would need all of them."""
    return min(8, triton.next_power_of_2(num_classes))


def triton_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Up-sample logits bilinearly and compare them with labels, in kernels.

    Computed is in float32; the gradient has the data type of the logits and the same bits in every
    run. ``torch.compile`` takes it into its graph.

    Args:
        logits (Tensor): Scores of the classes (B, C, h, w) in float16, bfloat16 or float32.
        labels (Tensor): Class of each pixel (B, H, W). A pixel without a class may have any label
            and must have no weight.
        weight (Tensor): Weight of each pixel (B, H, W); it gets no gradient.
        align_corners (bool): As in :func:`torch.nn.functional.interpolate`.

    Returns:
        tuple[Tensor, Tensor, Tensor]: The weighted sum of the losses of all pixels, a scalar; the
        losses (B, H, W) without weight and without gradient, 0 where a pixel has no weight;
        whether a pixel's label has the highest score, (B, H, W).
    """
    return upsampled_cross_entropy(logits, labels, weight, align_corners)[:3]


# As operators of PyTorch they are opaque to the compiler, which needs to know the shapes alone.
@torch.library.custom_op('segheads::upsampled_cross_entropy', mutates_args=())
def upsampled_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Compute the loss and, as :func:`compare_pixels`, what its gradient is computed from."""
    outputs = _empty_outputs(logits, labels, weight, align_corners)
    _, losses, correct, *kept = outputs
    batch, num_classes, height, width = logits.shape
    _, image_height, image_width = labels.shape
    rows = interpolation_table(height, image_height, align_corners, logits.device)
    columns = interpolation_table(width, image_width, align_corners, logits.device)
    weight = weight.to(torch.float32).contiguous()
    grid = (triton.cdiv(image_height * image_width, PIXELS), batch)
    with torch.cuda.device_of(logits):
        compare_pixels[grid](
            *(logits.contiguous(), labels.contiguous(), weight),
            *(rows.cell, rows.share, columns.cell, columns.share),
            *(losses, correct, *kept),
            *(num_classes, height, width, image_height, image_width),
            BLOCK_PIXELS=PIXELS,
            BLOCK_CLASSES=class_block(num_classes),
            num_warps=PIXELS // THREADS_PER_WARP,
        )
    return (losses * weight).sum(), losses, correct, *kept


@upsampled_cross_entropy.register_fake
def _empty_outputs(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    losses, highest, scale, label_gradient = (
        torch.empty(labels.shape, dtype=torch.float32, device=logits.device) for _ in range(4)
    )
    correct = torch.empty(labels.shape, dtype=torch.bool, device=logits.device)
    return losses.new_empty(()), losses, correct, highest, scale, label_gradient


@torch.library.custom_op('segheads::upsampled_cross_entropy_gradient', mutates_args=())
def upsampled_cross_entropy_gradient(
    upstream: Tensor,
    logits: Tensor,
    labels: Tensor,
    highest: Tensor,
    scale: Tensor,
    label_gradient: Tensor,
    align_corners: bool,
) -> Tensor:
    """Compute the gradient of the logits, ``upstream`` being that of the weighted sum."""
    batch, num_classes, height, width = logits.shape
    _, image_height, image_width = labels.shape
    rows = interpolation_table(height, image_height, align_corners, logits.device)
    columns = interpolation_table(width, image_width, align_corners, logits.device)
    gradient = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
    block = class_block(num_classes)
    grid = (height * triton.cdiv(width, CELLS), triton.cdiv(num_classes, block), batch)
    with torch.cuda.device_of(logits):
        gather_gradient[grid](
            *(logits.contiguous(), labels.contiguous(), highest, scale, label_gradient, upstream),
            *(rows.share, rows.start, columns.share, columns.start, gradient),
            *(num_classes, height, width, image_height, image_width),
            BLOCK_CELLS=CELLS,
            BLOCK_CLASSES=block,
            num_warps=CELLS // THREADS_PER_WARP,
        )
    return gradient


@upsampled_cross_entropy_gradient.register_fake
def _empty_gradient(upstream: Tensor, logits: Tensor, *_: Any) -> Tensor:
    return torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)


def _keep_for_gradient(ctx: Any, inputs: tuple, output: tuple) -> None:
    logits, labels, _, ctx.align_corners = inputs
    _, losses, correct, *kept = output
    ctx.save_for_backward(logits, labels, *kept)
    ctx.mark_non_differentiable(losses, correct, *kept)
    ctx.set_materialize_grads(False)


def _gradient(ctx: Any, upstream: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
    if upstream is None:
        return None, None, None, None
    gradient = upsampled_cross_entropy_gradient(upstream, *ctx.saved_tensors, ctx.align_corners)
    return gradient, None, None, None


upsampled_cross_entropy.register_autograd(_gradient, setup_context=_keep_for_gradient)
