"""Class maps and overlays of a test, each in a file of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from PIL import Image

from segheads.data.meta import dataset_meta
from segheads.data.palette_masks import palette_image
from segheads.inference.drawing import class_areas, draw_legend, paint
from segheads.inference.images import ImageReader
from segheads.inference.output_files import save_image
from segheads.inference.output_names import output_names

GAP = 8
# The colour of 0, where classes count from 1.
UNLABELLED = (0, 0, 0)


@HOOKS.register_module()
class SavePredictionsHook(Hook):
    """Writes what a model predicts, in every process what that process has predicted.

    The files lie in the sub-folders that the images lie in, so that equal names in two of them do
    not meet (:func:`segheads.inference.output_names.name_outputs`). MMSegmentation names its files
    by the image alone, and draws in the first process.

    Args:
        class_maps (str | None): A folder for class maps as PNG with a palette: the class of each
            pixel, plus one where ``reduce_zero_label`` has taken one off, as test servers want it;
            16 bits in grey for more than 255 values. Default: None.
        overlays (str | None): A folder for pictures: the prediction over the image, beside the
            ground truth over the image if there is one, with a legend. Default: None.
        opacity (float): Of the colours in overlays. Default: 0.5.
        interval (int): Every how many images an overlay is drawn. Default: 1.
    """

    def __init__(
        self,
        class_maps: str | None = None,
        overlays: str | None = None,
        opacity: float = 0.5,
        interval: int = 1,
    ) -> None:
        self.class_maps = class_maps and Path(class_maps)
        self.overlays = overlays and Path(overlays)
        self.opacity = opacity
        self.interval = interval

    def before_test(self, runner: Runner) -> None:
        """Finds out where the images lie and what their classes are called."""
        model = getattr(runner.model, 'module', runner.model)
        model = getattr(model, 'module', model)
        self.names = output_names(runner.test_dataloader.dataset)
        meta = dict(dataset_meta=runner.test_dataloader.dataset.metainfo)
        self.meta = dataset_meta(meta, runner.cfg, model.out_channels)
        self.read = ImageReader(runner.cfg)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Writes the files of a batch.

        Args:
            runner (Runner): The runner of the test.
            batch_idx (int): Number of the batch in this process.
            data_batch (Any): Not used.
            outputs (Sequence[SegDataSample] | None): What was predicted.

        Raises:
            UserMistake: If a file cannot be written.
        """
        for index, sample in enumerate(outputs or ()):
            name = self.names.get(sample.img_path) or Path(sample.img_path).stem
            class_map = sample.pred_sem_seg.data[0].cpu().numpy()
            if self.class_maps:
                values, colours = class_map, self.meta['palette']
                if sample.get('reduce_zero_label'):
                    values, colours = values + 1, [UNLABELLED, *colours]
                save_image(palette_image(values, colours), self.class_maps / f'{name}.png')
            if self.overlays and (batch_idx * len(outputs) + index) % self.interval == 0:
                save_image(self._draw(sample, class_map), self.overlays / f'{name}.png')

    def _draw(self, sample: SegDataSample, class_map: np.ndarray) -> Image.Image:
        image = self.read(sample.img_path).picture
        maps = [class_map]
        if 'gt_sem_seg' in sample:
            maps.insert(0, sample.gt_sem_seg.data[0].cpu().numpy())
        panels = [paint(image, each, self.meta['palette'], self.opacity) for each in maps]
        width = sum(panel.shape[1] for panel in panels) + GAP * (len(panels) - 1)
        areas = sum(class_areas(each, len(self.meta['classes'])) for each in maps)
        legend = draw_legend(areas, self.meta['classes'], self.meta['palette'], width)
        height = image.shape[0]
        picture = Image.new('RGB', (max(width, legend.width), height + legend.height), 'white')
        for index, panel in enumerate(panels):
            picture.paste(Image.fromarray(panel), (index * (image.shape[1] + GAP), 0))
        picture.paste(legend, (0, height))
        return picture
