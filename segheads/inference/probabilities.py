"""Probabilities of classes from the logits of one or several views of an image, tile by tile."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from segheads.layers.tiled_resize import CPU_TILE_VALUES
from segheads.segmentors.logits_on_demand import LogitsOnDemand

# Those of 150 classes on an image of 670x670 pixels: 256 MB in 32 bits.
MOST_FLOAT32_VALUES = 2**26


class Prediction(NamedTuple):
    """What a model says about an image.

    Attributes:
        class_map (numpy.ndarray): The class of each pixel, (H, W) in int64.
        scores (numpy.ndarray | None): The probability of that class, (H, W) in float32; None
            unless it was asked for.
        probabilities (numpy.ndarray | None): Those of all classes, (C, H, W) in float32, or in
            float16 where they are more than ``2**26`` values; None unless they were asked for.
    """

    class_map: np.ndarray
    scores: np.ndarray | None = None
    probabilities: np.ndarray | None = None


@torch.no_grad()
def combine_views(
    views: Sequence[SegDataSample],
    threshold: float | None,
    with_scores: bool,
    with_probabilities: bool,
) -> Prediction:
    """Averages the probabilities in several views of an image, such as mirrored ones.

    Args:
        views (Sequence[SegDataSample]): Results of the model, each at the size of the image.
        threshold (float | None): The probability above which a pixel is of the single class of a
            model with one output; None for models with an output per class.
        with_scores (bool): Whether to return the probability of each pixel's class.
        with_probabilities (bool): Whether to return the probabilities of all classes.

    Returns:
        Prediction: The class map and what was asked for. The two classes of a model with one output
        are the background and the object.
    """
    single = views[0].pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
    if len(views) == 1 and not (with_scores or with_probabilities):
        return Prediction(single)
    size = single.shape
    class_map = np.empty(size, np.int64)
    scores = np.empty(size, np.float32) if with_scores else None
    probabilities = None
    for tiles in zip(*map(_logit_tiles, views), strict=True):
        rows, columns, _ = tiles[0]
        shares = [_probabilities(values, threshold is not None) for _, _, values in tiles]
        mean = torch.stack(shares).mean(dim=0) if len(shares) > 1 else shares[0]
        best, classes = mean.max(dim=2)
        if threshold is not None:
            classes = (mean[..., 1] > threshold).long()
            best = mean.gather(2, classes[..., None])[..., 0]
        class_map[rows, columns] = classes.cpu().numpy()
        if with_scores:
            scores[rows, columns] = best.cpu().numpy()
        if with_probabilities:
            if probabilities is None:
                shape = mean.shape[2], *size
                is_large = np.prod(shape) > MOST_FLOAT32_VALUES
                probabilities = np.empty(shape, np.float16 if is_large else np.float32)
            probabilities[:, rows, columns] = mean.permute(2, 0, 1).cpu().numpy()
    return Prediction(single if len(views) == 1 else class_map, scores, probabilities)


def _probabilities(values: Tensor, is_single: bool) -> Tensor:
    """Makes probabilities (rows, columns, C) of the values that a segmentor returns as logits."""
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    if is_single:  # MMSegmentation has taken the sigmoid already
        return torch.cat([1 - values, values], dim=2)
    return values.softmax(dim=2)


def _logit_tiles(sample: SegDataSample) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yields rows, columns and logits (rows, columns, C) that cover an image."""
    logits = sample.seg_logits
    if isinstance(logits, LogitsOnDemand):
        for tile, values in logits.tiles():
            yield tile.rows, tile.columns, values
        return
    count, height, width = logits.data.shape
    step = max(1, CPU_TILE_VALUES // (count * width))
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        yield rows, slice(0, width), logits.data[:, rows].permute(1, 2, 0)
