"""The class with the highest score at each pixel, in one kernel, without the up-sampled scores."""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

# One thread for each pixel; the classes of a block are in its registers.
PIXELS = 128
THREADS_PER_WARP = 32


class Taps(NamedTuple):
    """The cells of which a pixel is the weighted sum, along one side.

    Attributes:
        cell (Tensor): Numbers of the cells (length, extent), int32; the first ones of each column.
        weight (Tensor): Their weights (length, extent), float32.
        count (Tensor): How many cells a pixel has (extent,), int32.
    """

    cell: Tensor
    weight: Tensor
    count: Tensor


def find_taps(weights: Tensor) -> Taps:
    """List the weights that are not zero; nothing waits for the device.

    Args:
        weights (Tensor): Weights (length, extent) of the cells along a side in those of the image.

    Returns:
        Taps: The cells and their weights.
    """
    is_tap = weights != 0
    rank = is_tap.cumsum(dim=0, dtype=torch.int32)
    count = rank[-1]
    # Behind the last row goes what is not a tap.
    place = torch.where(is_tap, rank - 1, len(weights)).long()
    numbers = torch.arange(len(weights), dtype=torch.int32, device=weights.device)
    cell, weight = (
        values.new_zeros(len(weights) + 1, weights.shape[1]).scatter_(0, place, values)[:-1]
        for values in (numbers[:, None].expand_as(weights), weights.to(torch.float32))
    )
    return Taps(cell, weight, count.contiguous())


@triton.jit
def find_highest(
    logits,
    row_cell,
    row_weight,
    row_count,
    column_cell,
    column_weight,
    column_count,
    classes_of_pixels,
    num_classes,
    height,
    width,
    image_height,
    image_width,
    BLOCK_PIXELS: tl.constexpr,
    BLOCK_CLASSES: tl.constexpr,
):
    """Find the classes of a block of pixels in one row."""
    row = tl.program_id(1)
    column = tl.program_id(0) * BLOCK_PIXELS + tl.arange(0, BLOCK_PIXELS)
    inside = column < image_width
    rows = tl.load(row_count + row)
    count = tl.load(column_count + column, mask=inside, other=0)
    most = tl.max(count, axis=0)
    best = tl.full([BLOCK_PIXELS], float('-inf'), tl.float32)
    best_class = tl.zeros([BLOCK_PIXELS], tl.int32)
    for start in range(0, num_classes, BLOCK_CLASSES):
        classes = start + tl.arange(0, BLOCK_CLASSES)[:, None]
        maps = logits + classes * (height * width)
        scores = tl.zeros([BLOCK_CLASSES, BLOCK_PIXELS], tl.float32)
        for above in range(0, rows):
            cell_row = tl.load(row_cell + above * image_height + row)
            share = tl.load(row_weight + above * image_height + row)
            line = tl.zeros([BLOCK_CLASSES, BLOCK_PIXELS], tl.float32)
            for before in range(0, most):
                is_tap = before < count
                place = before * image_width + column
                cell = tl.load(column_cell + place, mask=is_tap, other=0)
                weight = tl.load(column_weight + place, mask=is_tap, other=0.0)
                values = tl.load(
                    maps + (cell_row * width + cell)[None, :],
                    mask=(classes < num_classes) & is_tap[None, :],
                    other=0.0,
                )
                line += weight[None, :] * values.to(tl.float32)
            scores += share * line
        # As for PyTorch's argmax, what is not a number is the highest.
        scores = tl.where(scores == scores, scores, float('inf'))
        scores = tl.where(classes < num_classes, scores, float('-inf'))
        highest, index = tl.max(scores, axis=0, return_indices=True)
        is_better = highest > best
        best = tl.where(is_better, highest, best)
        best_class = tl.where(is_better, start + index, best_class)
    target = classes_of_pixels + row.to(tl.int64) * image_width + column
    tl.store(target, best_class.to(tl.int64), mask=inside)


@torch.no_grad()
def triton_class_map(logits: Tensor, row_weights: Tensor, column_weights: Tensor) -> Tensor:
    """Find the class with the highest score at each pixel of a rectangle of the image.

    Computed is in float32. The columns of the weights are the rows and columns of the image that
    are wanted: slices of them give a part of the class map.

    Args:
        logits (Tensor): Scores of the classes (C, h, w) in float16, bfloat16 or float32.
        row_weights (Tensor): Weights (h, H) of the rows of the logits in those of the rectangle.
        column_weights (Tensor): Weights (w, W) of the columns of the logits.

    Returns:
        Tensor: The class of each pixel, (1, H, W).
    """
    rows, columns = find_taps(row_weights), find_taps(column_weights)
    image_height, image_width = row_weights.shape[1], column_weights.shape[1]
    classes = torch.empty(1, image_height, image_width, dtype=torch.long, device=logits.device)
    grid = (triton.cdiv(image_width, PIXELS), image_height)
    with torch.cuda.device_of(logits):
        find_highest[grid](
            *(logits.contiguous(), *rows, *columns, classes),
            *(*logits.shape, image_height, image_width),
            BLOCK_PIXELS=PIXELS,
            BLOCK_CLASSES=min(8, triton.next_power_of_2(len(logits))),
            num_warps=PIXELS // THREADS_PER_WARP,
        )
    return classes
