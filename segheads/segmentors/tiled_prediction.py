"""Class maps without logits at the resolution of the image."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

from segheads.configs.windows import check_windows
from segheads.heads.low_resolution import KEEP_LOW_RESOLUTION
from segheads.layers.fastest_implementation import AUTO, check_implementation
from segheads.layers.tiled_resize import Tile, resize_weights, tiles

from .fastest_class_map import fastest_class_map
from .logits_on_demand import attach_logits


class TiledPrediction:
    """Mixin of a segmentor that finds the class of each pixel tile by tile.

    MMSegmentation's segmentors up-sample the logits to the size of the image, resize them again to
    that of the original image, keep them in the result and take the argmax. All before the argmax
    is separable and linear: resizing, averaging overlapping windows, cutting off the padding,
    flipping. So one matrix for the rows and one for the columns hold all of it, and a tile of the
    original image comes straight from the logits as the head computes them. The class maps are the
    same, but for pixels of which two classes are equal to rounding.

    The ``seg_logits`` of the result are computed when something reads them, and are none of its
    data. They are kept there, and computed as MMSegmentation does, with
    ``test_cfg=dict(keep_logits=True)``, in test-time augmentation, which averages them, and of
    heads with a single output (``out_channels=1``), which is compared with a threshold.

    How a class map is computed may be chosen with ``test_cfg=dict(implementation=...)``; see
    :func:`segheads.segmentors.fastest_class_map.fastest_class_map`.
    """

    is_augmented = False

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predict the class maps of images.

        Args:
            inputs (Tensor): Images (B, 3, H, W).
            data_samples (list[SegDataSample], optional): Metainfo of the images; the results are
                written to them. Without, the class maps have the size of the inputs.

        Returns:
            list[SegDataSample]: One per image, with the class map ``pred_sem_seg`` (1, H, W).

        Raises:
            UserMistake: As :func:`segheads.configs.windows.check_windows`.
            ValueError: If ``mode`` of ``test_cfg`` is neither 'whole' nor 'slide', or if images
                are flipped otherwise than 'horizontal' or 'vertical', or if ``implementation`` of
                ``test_cfg`` is unknown.
        """
        keep_logits = self.is_augmented or self.test_cfg.get('keep_logits', False)
        if keep_logits or self.out_channels == 1:
            return super().predict(inputs, data_samples)

        if data_samples is not None:
            metas = [sample.metainfo for sample in data_samples]
        else:
            size = inputs.shape[2:]
            metas = [dict(ori_shape=size, img_shape=size, pad_shape=size)] * len(inputs)
        mode = self.test_cfg.get('mode', 'whole')
        if mode == 'whole':
            logits, rows, columns = self._predict_whole(inputs, metas)
        elif mode == 'slide':
            logits, rows, columns = self._predict_windows(inputs, metas)
        else:
            raise ValueError(f"test_cfg: mode must be 'whole' or 'slide', but is {mode!r}.")

        # Where half precision rounds two classes to one score, the first of them would win.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        row_weights, column_weights = (
            _window_weights(logits.new_ones(cells // len(windows)), windows, self.align_corners)
            for cells, windows in zip(logits.shape[2:], (rows, columns), strict=True)
        )
        implementation = check_implementation(self.test_cfg.get('implementation', AUTO), 'test_cfg')
        results = data_samples or [SegDataSample() for _ in metas]
        for result, image_logits, meta in zip(results, logits, metas, strict=True):
            weights = row_weights, column_weights
            if data_samples is not None:
                weights = self._weights_of_original(*weights, meta)
            classes = fastest_class_map(image_logits, *weights, class_map, implementation)
            result.set_data(dict(pred_sem_seg=PixelData(data=classes)))
            shape = len(image_logits), *classes.shape[1:]
            attach_logits(result, shape, partial(resized_tiles, image_logits.detach(), *weights))
        return results

    def _predict_whole(
        self, inputs: Tensor, metas: Sequence[dict]
    ) -> tuple[Tensor, list[slice], list[slice]]:
        """Predict logits, and say which rows and columns of the image they stand for."""
        logits = self.encode_decode(
            inputs, [dict(meta, **{KEEP_LOW_RESOLUTION: True}) for meta in metas]
        )
        # The size to which a head of MMSegmentation resizes.
        size = metas[0]['img_shape']
        if not isinstance(size, torch.Size):
            size = metas[0].get('pad_shape', size)
        return logits, [slice(0, size[0])], [slice(0, size[1])]

    def _predict_windows(
        self, inputs: Tensor, metas: Sequence[dict]
    ) -> tuple[Tensor, list[slice], list[slice]]:
        """Predict the logits of overlapping windows, side by side in one map."""
        check_windows(self.test_cfg)
        rows, columns = (
            _windows(*side)
            for side in zip(
                inputs.shape[2:], self.test_cfg.crop_size, self.test_cfg.stride, strict=True
            )
        )
        mosaic = []
        for row in rows:
            line = []
            for column in columns:
                window = inputs[:, :, row, column]
                settings = {'img_shape': window.shape[2:], KEEP_LOW_RESOLUTION: True}
                line.append(self.encode_decode(window, [dict(meta, **settings) for meta in metas]))
            mosaic.append(torch.cat(line, dim=3))
        return torch.cat(mosaic, dim=2), rows, columns

    def _weights_of_original(
        self, row_weights: Tensor, column_weights: Tensor, meta: dict
    ) -> tuple[Tensor, Tensor]:
        """Go on from the network's input to the original image: cut off padding, flip, resize."""
        left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
        row_weights = row_weights[:, top : row_weights.shape[1] - bottom]
        column_weights = column_weights[:, left : column_weights.shape[1] - right]
        if meta.get('flip'):
            direction = meta.get('flip_direction')
            if direction == 'horizontal':
                column_weights = column_weights.flip(1)
            elif direction == 'vertical':
                row_weights = row_weights.flip(1)
            else:
                raise ValueError(
                    "Images can be flipped back if flip_direction is 'horizontal' or 'vertical', "
                    f'but it is {direction!r}.'
                )
        height, width = meta['ori_shape'][:2]
        return (
            resize_weights(row_weights, height, self.align_corners),
            resize_weights(column_weights, width, self.align_corners),
        )


@torch.compiler.disable
@torch.no_grad()
def class_map(logits: Tensor, row_weights: Tensor, column_weights: Tensor) -> Tensor:
    """Find the class with the highest score at each pixel, tile by tile.

    Args:
        logits (Tensor): Scores of the classes (C, h, w).
        row_weights (Tensor): Weights (h, H) of the rows of the logits in those of the image.
        column_weights (Tensor): Weights (w, W) of the columns of the logits.

    Returns:
        Tensor: The class of each pixel, (1, H, W).
    """
    size = row_weights.shape[1], column_weights.shape[1]
    classes = torch.empty(1, *size, dtype=torch.long, device=logits.device)
    for tile, values in resized_tiles(logits, row_weights, column_weights):
        classes[0, tile.rows, tile.columns] = values.argmax(dim=2)
    return classes


def resized_tiles(
    logits: Tensor, row_weights: Tensor, column_weights: Tensor
) -> Iterator[tuple[Tile, Tensor]]:
    """Resize logits to the image, tile by tile.

    Args:
        logits (Tensor): Scores of the classes (C, h, w).
        row_weights (Tensor): Weights (h, H) of the rows of the logits in those of the image.
        column_weights (Tensor): Weights (w, W) of the columns of the logits.

    Yields:
        tuple[Tile, Tensor]: Tiles that cover the image without overlap, and their scores
        (rows, columns, C).
    """
    # In the order of the image: the logits of overlapping windows interleave, so that a tile needs
    # neighbouring rows and columns.
    row_order = row_weights.argmax(dim=1).argsort()
    column_order = column_weights.argmax(dim=1).argsort()
    scores = logits.permute(1, 2, 0)[row_order][:, column_order].contiguous()
    weights = row_weights[row_order].t(), column_weights[column_order].t()
    unreached = scores
    if not scores.isfinite().all():
        unreached = scores.nan_to_num(0, 0, 0)
    # Autocast would turn the matrix products to 16 bits.
    with torch.autocast(logits.device.type, enabled=False):
        for tile in tiles(*weights, channels=len(logits)):
            values = tile.resize(unreached)
            if unreached is not scores:
                values += _nonfinite_values(tile, scores)
            yield tile, values


def _nonfinite_values(tile: Tile, scores: Tensor) -> Tensor:
    """Find what the scores that are not finite make of the pixels that they reach, and of no other.

    A product of matrices would make all pixels NaN that share a band with them: 0 times infinity.

    Args:
        tile (Tile): The tile.
        scores (Tensor): The map (h, w, C).

    Returns:
        Tensor: Infinities and NaN where pixels are reached, else 0; (rows, columns, C).
    """
    reach = replace(
        tile,
        row_weights=(tile.row_weights != 0).to(scores.dtype),
        column_weights=(tile.column_weights != 0).to(scores.dtype),
    )
    values = torch.zeros_like(reach.resize(scores.new_zeros(scores.shape)))
    for value in (float('inf'), float('-inf'), float('nan')):
        is_value = scores.isnan() if value != value else scores == value
        # Infinity minus infinity is NaN, as in a sum of weighted scores.
        values += torch.where(reach.resize(is_value.to(scores.dtype)) > 0, value, 0)
    return values


def _windows(extent: int, window: int, stride: int) -> list[slice]:
    """Place windows along a side, the last one at its end."""
    number = max(extent - window + stride - 1, 0) // stride + 1
    stops = [min(index * stride + window, extent) for index in range(number)]
    return [slice(max(stop - window, 0), stop) for stop in stops]


def _window_weights(cells: Tensor, windows: Sequence[slice], align_corners: bool) -> Tensor:
    """Weights of the cells of windows, one window after another, along a side of the image.

    Args:
        cells (Tensor): Ones, one for each cell of a window's logits.
        windows (Sequence[slice]): The windows along the side, of one length.
        align_corners (bool): How logits are resized to a window.

    Returns:
        Tensor: Weights (all cells, extent of the image); a pixel is the average of the windows
        that contain it.
    """
    cells = cells.diag()
    weights = cells.new_zeros(len(windows), len(cells), windows[-1].stop)
    counts = cells.new_zeros(windows[-1].stop)
    for window_weights, window in zip(weights, windows, strict=True):
        length = window.stop - window.start
        window_weights[:, window] = resize_weights(cells, length, align_corners)
        counts[window] += 1
    return (weights / counts).flatten(0, 1)


def _keep_logits_for_augmentation(model: nn.Module, name: str, part: nn.Module | None) -> None:
    """Tell a segmentor that it became a part of a test-time augmentation."""
    if isinstance(model, BaseTTAModel) and isinstance(part, TiledPrediction):
        part.is_augmented = True


register_module_module_registration_hook(_keep_logits_for_augmentation)
