"""Class maps and overlays of a test, each in a file of its own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS, METRICS
from mmseg.structures import SegDataSample
from PIL import Image

from segheads.data.checks import find_transform
from segheads.data.meta import dataset_meta
from segheads.inference.drawing import class_areas, draw_legend, paint
from segheads.inference.images import ImageReader
from segheads.mistakes import UserMistake

GAP = 8


@HOOKS.register_module()
class SavePredictionsHook(Hook):
    """Writes what a model predicts, in every process what that process has predicted.

    The files lie in the sub-folders that the images lie in, so that equal names in two of them do
    not meet. MMSegmentation names its files by the image alone, and draws in the first process.

    Args:
        class_maps (str | None): A folder for class maps as PNG: the class of each pixel, plus one
            where ``reduce_zero_label`` has taken one off, as test servers want it; 16 bits for
            more than 256 values. Default: None.
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
        self.root = common_folder(runner.test_dataloader.dataset)
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
            name = name_below(sample.img_path, self.root)
            class_map = sample.pred_sem_seg.data[0].cpu().numpy()
            if self.class_maps:
                values = class_map + 1 if sample.get('reduce_zero_label') else class_map
                kind = np.uint8 if len(self.meta['classes']) <= 255 else np.uint16
                _save(Image.fromarray(values.astype(kind)), self.class_maps / f'{name}.png')
            if self.overlays and (batch_idx * len(outputs) + index) % self.interval == 0:
                _save(self._draw(sample, class_map), self.overlays / f'{name}.png')

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


@METRICS.register_module()
class NoMetric(BaseMetric):
    """Takes the place of a metric where there are no masks to compare with."""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the images."""
        self.results += [None] * len(data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Returns nothing."""
        return {}


def common_folder(dataset: Any) -> str:
    """Finds the folder below which all images of a data set lie.

    Args:
        dataset (Any): A data set of MMSegmentation, or a wrapper of some.

    Returns:
        str: The folder; empty if the images are no local files.
    """
    while not hasattr(dataset, 'data_prefix') and hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    parts = getattr(dataset, 'datasets', [dataset])
    folders = [(getattr(part, 'data_prefix', None) or {}).get('img_path') for part in parts]
    folders = [os.path.abspath(folder) for folder in folders if folder and '://' not in folder]
    return os.path.commonpath(folders) if folders else ''


def name_below(path: str, root: str) -> str:
    """Names the result of an image by its place below a folder, without suffix.

    Args:
        path (str): The image.
        root (str): The folder.

    Returns:
        str: Such as ``flight1/frame``; the name alone if it lies elsewhere.
    """
    if root and '://' not in path:
        relative = os.path.relpath(os.path.abspath(path), root)
        if not relative.startswith('..'):
            return str(Path(relative).with_suffix(''))
    return Path(path).stem


def expects_no_masks(loader: Mapping[str, Any]) -> bool:
    """Tells whether the data that a loader reads has no mask at all.

    Args:
        loader (Mapping): Config of a data loader with one data set of MMSegmentation.

    Returns:
        bool: True if the pipeline loads no masks, if no folder of masks is named, if it is not
            there, or if it holds nothing.
    """
    dataset = loader['dataset']
    prefix = (dataset.get('data_prefix') or {}).get('seg_map_path')
    if 'data_prefix' not in dataset:
        return False
    if not prefix or find_transform(dataset.get('pipeline') or (), 'LoadAnnotations') is None:
        return True
    folder = Path(dataset.get('data_root') or '', prefix)
    return '://' not in str(prefix) and not (folder.is_dir() and any(folder.iterdir()))


def without_masks(cfg: Config) -> None:
    """Lets a test predict only: it reads no masks and computes no metrics.

    Args:
        cfg (Config): The config of the test; it is changed in place.
    """
    loader = cfg.test_dataloader
    loader.dataset.pipeline = without_annotations(loader.dataset.get('pipeline') or [])
    if cfg.get('tta_pipeline'):
        cfg.tta_pipeline = without_annotations(cfg.tta_pipeline)
    loader.dataset.data_prefix.seg_map_path = ''
    cfg.test_evaluator = dict(type='NoMetric')


def without_annotations(transforms: Any) -> Any:
    """Takes what loads masks out of a pipeline, out of test-time augmentation too.

    Args:
        transforms (Any): A pipeline, or a part of one.

    Returns:
        Any: The same without it.
    """
    if isinstance(transforms, Mapping):
        if 'transforms' not in transforms:
            return transforms
        return dict(transforms, transforms=without_annotations(transforms['transforms']))
    kept = [
        without_annotations(each)
        for each in transforms
        if not (isinstance(each, Mapping) and _loads_annotations(each))
    ]
    # A branch of test-time augmentation that is empty would leave nothing to combine.
    return [each for each in kept if not (isinstance(each, list) and not each)]


def _loads_annotations(transform: Mapping[str, Any]) -> bool:
    return str(getattr(transform['type'], '__name__', transform['type'])).endswith(
        'LoadAnnotations'
    )


def _save(image: Image.Image, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except OSError as error:
        raise UserMistake(f'{path} cannot be written: {error.strerror or error}') from error
