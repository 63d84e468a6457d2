"""What a test writes besides its metrics: class maps and overlays, one for each image.

MMSegmentation's metric and its visualization hook name files by the last part of the image's path,
so that those of one folder overwrite those of another; and only the first of several processes
draws.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from PIL import Image

from segheads.checkpoints.fit import bare_model
from segheads.data.meta import complete_meta, count_values
from segheads.mistakes import UserMistake

from .drawing import BACKGROUND, draw_class_map
from .images import read_image
from .output_names import output_names

# What the server of Cityscapes calls the 19 classes of its benchmark.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LARGEST_BYTE = 255


class OutputHook(Hook):
    """Writes a PNG for each image of a test, in every process those that it has predicted.

    The files lie as the images lie in their folder, see
    :func:`segheads.inference.output_names.name_outputs`.

    Args:
        folder (str): Where to write. It is made if it is missing.
        interval (int): Every which batch is written. Default: 1, which is all.
    """

    kind = 'files'

    def __init__(self, folder: str, interval: int = 1) -> None:
        self.folder = Path(folder)
        self.interval = interval
        self.names: dict[str, str] = {}

    def before_test(self, runner: Runner) -> None:
        """Names the files, the same in all processes.

        Args:
            runner (Runner): The runner of the test.
        """
        self.names = output_names(runner.test_dataloader.dataset)

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
            batch_idx (int): The number of the batch in this process.
            data_batch (Any): What the loader has loaded.
            outputs (Sequence[SegDataSample] | None): What the model has predicted.

        Raises:
            UserMistake: If a file cannot be written.
        """
        if not self.every_n_inner_iters(batch_idx, self.interval):
            return
        for sample in outputs or ():
            name = self.names.get(sample.img_path) or Path(sample.img_path).stem
            path = self.folder / f'{name}.png'
            picture = self.picture(sample)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
            except OSError as error:
                raise UserMistake(
                    f'{path} cannot be written ({error.strerror or error}); make room, or name '
                    'another folder'
                ) from error

    def after_test(self, runner: Runner) -> None:
        """Says where the files are.

        Args:
            runner (Runner): The runner of the test.
        """
        runner.logger.info(f'The {self.kind} are in {self.folder.resolve()}.')

    def picture(self, sample: SegDataSample) -> Image.Image:
        """Returns what is written for a sample."""
        raise NotImplementedError


@HOOKS.register_module()
class ClassMapHook(OutputHook):
    """Writes the class maps of a test as grey PNG, as test servers want them.

    The values are those of the masks: class indices, and one more where the data set has
    ``reduce_zero_label=True``, such as ADE20K, whose masks call 0 what has no class. They have 8
    bits, and 16 where there are more values.

    Args:
        folder (str): Where to write. It is made if it is missing.
        label_ids (Sequence[int] | str | None): Values to write in place of the class indices, or
            'cityscapes' for those of its server. Default: None.

    Raises:
        UserMistake: If ``label_ids`` is something else.
    """

    kind = 'class maps'

    def __init__(self, folder: str, label_ids: Sequence[int] | str | None = None) -> None:
        super().__init__(folder)
        ids = CITYSCAPES_IDS if label_ids == 'cityscapes' else label_ids
        are_ids = isinstance(ids, (list, tuple)) and all(isinstance(value, int) for value in ids)
        if ids is not None and not (are_ids and all(0 <= value < 2**16 for value in ids)):
            raise UserMistake(
                f"label_ids must be 'cityscapes' or numbers from 0 to 65535, but is {label_ids!r}"
            )
        self.label_ids = None if ids is None else np.asarray(ids, np.int64)
        self.num_values = 0

    def before_test(self, runner: Runner) -> None:
        """Names the files, and counts the values that they may have.

        Args:
            runner (Runner): The runner of the test.

        Raises:
            UserMistake: If ``label_ids`` has not one value for each that the model predicts.
        """
        super().before_test(runner)
        self.num_values = count_values(_num_outputs(runner))
        if self.label_ids is not None and len(self.label_ids) != self.num_values:
            raise UserMistake(
                f'label_ids has {len(self.label_ids)} values, and the model predicts '
                f'{self.num_values}; give one for each'
            )

    def picture(self, sample: SegDataSample) -> Image.Image:
        """Returns the class map of a sample."""
        class_map = sample.pred_sem_seg.data[0].cpu().numpy()
        largest = self.num_values - 1
        if self.label_ids is not None:
            class_map, largest = self.label_ids[class_map], self.label_ids.max()
        elif sample.metainfo.get('reduce_zero_label'):
            class_map, largest = class_map + 1, largest + 1
        return Image.fromarray(class_map.astype(np.uint8 if largest <= LARGEST_BYTE else np.uint16))


@HOOKS.register_module()
class OverlayHook(OutputHook):
    """Draws the class maps of a test over their images, beside the ground truth if there is one.

    Args:
        folder (str): Where to write. It is made if it is missing.
        interval (int): Every which batch is drawn. Default: 1, which is all.
        opacity (float): Share of the colours, from 0 to 1. Default: 0.5.
    """

    kind = 'overlays'

    def __init__(self, folder: str, interval: int = 1, opacity: float = 0.5) -> None:
        super().__init__(folder, interval)
        self.opacity = opacity
        self.meta: dict[str, list] = {}

    def before_test(self, runner: Runner) -> None:
        """Names the files, and looks up names and colours of the classes.

        Args:
            runner (Runner): The runner of the test.
        """
        super().before_test(runner)
        meta = runner.test_dataloader.dataset.metainfo
        self.meta = complete_meta(
            meta.get('classes') or (),
            meta.get('palette'),
            _num_outputs(runner),
        )

    def picture(self, sample: SegDataSample) -> Image.Image:
        """Returns the overlay of a sample: ground truth on the left, prediction on the right."""
        maps = [
            sample.get(name).data[0].cpu().numpy()
            for name in ('gt_sem_seg', 'pred_sem_seg')
            if name in sample
        ]
        image = read_image(sample.img_path)
        if image.shape[:2] != maps[-1].shape:
            image = mmcv.imresize(image, maps[-1].shape[::-1])
        panels = [
            draw_class_map(image, class_map, self.meta, self.opacity)
            for class_map in maps
            if class_map.shape == image.shape[:2]
        ]
        size = sum(panel.width for panel in panels), max(panel.height for panel in panels)
        picture = Image.new('RGB', size, BACKGROUND)
        left = 0
        for panel in panels:
            picture.paste(panel, (left, 0))
            left += panel.width
        return picture


def write_class_maps(
    cfg: Config, folder: str, label_ids: Sequence[int] | str | None = None
) -> None:
    """Lets a test write its class maps.

    Args:
        cfg (Config): The config of the test; it is changed in place.
        folder (str): Where to write.
        label_ids (Sequence[int] | str | None): As for :class:`ClassMapHook`. Default: None.
    """
    _add_hook(cfg, dict(type='ClassMapHook', folder=folder, label_ids=label_ids))


def write_overlays(cfg: Config, folder: str) -> None:
    """Lets a test draw its class maps over their images.

    Args:
        cfg (Config): The config of the test; it is changed in place. If it says to draw fewer than
            all, by the ``interval`` of its visualization hook, so many are drawn.
        folder (str): Where to write.
    """
    hook = (cfg.get('default_hooks') or {}).get('visualization') or {}
    _add_hook(cfg, dict(type='OverlayHook', folder=folder, interval=hook.get('interval', 1)))


def _num_outputs(runner: Runner) -> int:
    classes = runner.test_dataloader.dataset.metainfo.get('classes') or ()
    return getattr(bare_model(runner.model), 'out_channels', len(classes))


def _add_hook(cfg: Config, hook: dict[str, Any]) -> None:
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
