"""Class maps without logits at the resolution of the image."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from mmseg.utils import OptSampleList, SampleList
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

from segheads.configs.windows import check_windows
from segheads.heads.low_resolution import KEEP_LOW_RESOLUTION
from segheads.layers.fastest_implementation import AUTO, check_implementation
from segheads.layers.nonfinite import all_finite, replace_nonfinite, restore_nonfinite
from segheads.layers.resized_side import ResizedSide
from segheads.layers.size_tables import kept_per_size
from segheads.layers.tiled_resize import Tile, tiles

from .fastest_class_map import fastest_class_map
from .logits_on_demand import attach_logits

# Where windows begin and end along a side.
Windows = tuple[tuple[int, int], ...]
# Padding to cut off before and behind, whether to flip, the extent to resize to.
Steps = tuple[int, int, bool, int]


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
        implementation = check_implementation(self.test_cfg.get('implementation', AUTO), 'test_cfg')
        # On a GPU asking would mean to wait.
        as_mmseg = logits.device.type == 'cpu' and not all_finite(logits)
        if as_mmseg:
            results = self._classify_as_mmseg(logits, rows, columns, data_samples)
        else:
            results = data_samples or [SegDataSample() for _ in metas]
        cells = [
            extent // len(windows)
            for extent, windows in zip(logits.shape[2:], (rows, columns), strict=True)
        ]
        for result, image_logits, meta in zip(results, logits, metas, strict=True):
            steps = _steps_to_original(meta) if data_samples is not None else (None, None)
            sides = [
                _window_weights(*side, self.align_corners, logits.dtype, logits.device)
                for side in zip(cells, (rows, columns), steps, strict=True)
            ]
            if not as_mmseg:
                classes = fastest_class_map(
                    image_logits,
                    *(side.weights for side in sides),
                    # Tiles need to know more of the sides than their weights.
                    lambda logits, *_, sides=sides: class_map(logits, *sides),
                    implementation,
                )
                result.set_data(dict(pred_sem_seg=PixelData(data=classes)))
            attach_logits(
                result,
                (len(image_logits), *(side.weights.shape[1] for side in sides)),
                partial(resized_tiles, image_logits.detach(), *sides),
            )
        return results

    def _predict_whole(
        self, inputs: Tensor, metas: Sequence[dict]
    ) -> tuple[Tensor, Windows, Windows]:
        """Predict logits, and say which rows and columns of the image they stand for."""
        logits = self.encode_decode(
            inputs, [dict(meta, **{KEEP_LOW_RESOLUTION: True}) for meta in metas]
        )
        # The size to which a head of MMSegmentation resizes.
        size = metas[0]['img_shape']
        if not isinstance(size, torch.Size):
            size = metas[0].get('pad_shape', size)
        return logits, ((0, size[0]),), ((0, size[1]),)

    def _predict_windows(
        self, inputs: Tensor, metas: Sequence[dict]
    ) -> tuple[Tensor, Windows, Windows]:
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
                window = inputs[:, :, slice(*row), slice(*column)]
                settings = {'img_shape': window.shape[2:], KEEP_LOW_RESOLUTION: True}
                line.append(self.encode_decode(window, [dict(meta, **settings) for meta in metas]))
            mosaic.append(torch.cat(line, dim=3))
        return torch.cat(mosaic, dim=2), rows, columns

    def _classify_as_mmseg(
        self, logits: Tensor, rows: Windows, columns: Windows, data_samples: OptSampleList
    ) -> SampleList:
        """Find the classes from up-sampled logits, to the last infinity as MMSegmentation does."""
        scores = logits.new_zeros(*logits.shape[:2], rows[-1][1], columns[-1][1])
        counts = logits.new_zeros(scores.shape[2:])
        for row, line in zip(rows, logits.chunk(len(rows), dim=2), strict=True):
            for column, window in zip(columns, line.chunk(len(columns), dim=3), strict=True):
                place = (..., slice(*row), slice(*column))
                size = scores[place].shape[2:]
                scores[place] += resize(
                    window, size, mode='bilinear', align_corners=self.align_corners
                )
                counts[place] += 1
        results = self.postprocess_result(scores / counts, data_samples)
        for result in results:
            del result.seg_logits
        return results


@torch.compiler.disable
@torch.no_grad()
def class_map(logits: Tensor, rows: ResizedSide | Tensor, columns: ResizedSide | Tensor) -> Tensor:
    """Find the class with the highest score at each pixel, tile by tile.

    Scores that are not finite change the pixels that they reach, and no others. Where several
    classes of a pixel are NaN, or infinite, it is the one that reaches it most.

    Args:
        logits (Tensor): Scores of the classes (C, h, w).
        rows (ResizedSide | Tensor): How the rows of the logits make those of the image, or the
            weights alone, (h, H).
        columns (ResizedSide | Tensor): The same of the columns, (w, W).

    Returns:
        Tensor: The class of each pixel, (1, H, W).
    """
    rows, columns = _as_side(rows), _as_side(columns)
    size = rows.weights.shape[1], columns.weights.shape[1]
    classes = torch.empty(1, *size, dtype=torch.long, device=logits.device)
    for tile, values in _resized_tiles(logits, rows, columns):
        classes[0, tile.rows, tile.columns] = values.argmax(dim=2)
    return classes


def resized_tiles(
    logits: Tensor, rows: ResizedSide | Tensor, columns: ResizedSide | Tensor
) -> Iterator[tuple[Tile, Tensor]]:
    """Resize logits to the image, tile by tile, where somebody wants more than the class map.

    Args:
        logits (Tensor): Scores of the classes (C, h, w).
        rows (ResizedSide | Tensor): As for :func:`class_map`.
        columns (ResizedSide | Tensor): As for :func:`class_map`.

    Yields:
        tuple[Tile, Tensor]: Tiles that cover the image without overlap, and their scores
        (rows, columns, C).
    """
    for tile, values in _resized_tiles(logits, _as_side(rows), _as_side(columns)):
        yield tile, restore_nonfinite(values)


def _as_side(side: ResizedSide | Tensor) -> ResizedSide:
    return side if isinstance(side, ResizedSide) else ResizedSide.from_weights(side)


def _resized_tiles(
    logits: Tensor, rows: ResizedSide, columns: ResizedSide
) -> Iterator[tuple[Tile, Tensor]]:
    """Yield the tiles and their scores; very large numbers stand for what is not finite."""
    # In the order of the image: the logits of overlapping windows interleave, so that a tile needs
    # neighbouring rows and columns.
    scores = rows.in_order(logits.permute(1, 2, 0))
    scores = columns.in_order(scores.transpose(0, 1)).transpose(0, 1)
    scores = replace_nonfinite(scores).contiguous()
    # Autocast would turn the matrix products to 16 bits.
    with torch.autocast(logits.device.type, enabled=False):
        for tile in tiles(rows, columns, channels=len(logits)):
            yield tile, tile.resize(scores)


def _windows(extent: int, window: int, stride: int) -> Windows:
    """Place windows along a side, the last one at its end."""
    number = max(extent - window + stride - 1, 0) // stride + 1
    stops = [min(index * stride + window, extent) for index in range(number)]
    return tuple((max(stop - window, 0), stop) for stop in stops)


def _steps_to_original(meta: dict) -> tuple[Steps, Steps]:
    """List what is left to do along the height and the width of the network's input."""
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size', [0] * 4))
    direction = None
    if meta.get('flip'):
        direction = meta.get('flip_direction')
        if direction not in ('horizontal', 'vertical'):
            raise ValueError(
                "Images can be flipped back if flip_direction is 'horizontal' or 'vertical', "
                f'but it is {direction!r}.'
            )
    height, width = meta['ori_shape'][:2]
    return (
        (int(top), int(bottom), direction == 'vertical', int(height)),
        (int(left), int(right), direction == 'horizontal', int(width)),
    )


@kept_per_size
def _window_weights(
    num_cells: int,
    windows: Windows,
    steps: Steps | None,
    align_corners: bool,
    dtype: torch.dtype,
    device: torch.device,
) -> ResizedSide:
    """Make the way from the logits of windows to one side of the image.

    Args:
        num_cells (int): Number of cells of each window.
        windows (tuple[tuple[int, int], ...]): Where each window begins and ends in the input of the
            network.
        steps (tuple[int, int, bool, int], optional): Padding to cut off before and behind, whether
            to flip, and the extent of the original image to resize to.
        align_corners (bool): How logits and images are resized.
        dtype (torch.dtype): Data type of the logits.
        device (torch.device): Where the logits are.

    Returns:
        ResizedSide: The side.
    """
    side = ResizedSide.of_windows(num_cells, windows, align_corners, dtype, device)
    if steps is None:
        return side
    before, behind, is_flipped, extent = steps
    side = side.crop(before, len(side.first) - behind)
    if is_flipped:
        side = side.flip()
    return side.resize(extent, align_corners)


def _keep_logits_for_augmentation(model: nn.Module, name: str, part: nn.Module | None) -> None:
    """Tell a segmentor that it became a part of a test-time augmentation."""
    if isinstance(model, BaseTTAModel) and isinstance(part, TiledPrediction):
        part.is_augmented = True


register_module_module_registration_hook(_keep_logits_for_augmentation)
