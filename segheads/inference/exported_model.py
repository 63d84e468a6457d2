"""An exported model in the place of a segmentor: predicted, drawn and served like any other."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from segheads import runtime
from segheads.mistakes import UserMistake
from segheads.segmentors.logits_on_demand import attach_logits

Value = TypeVar('Value')


class ExportedSegmentor:
    """An exported model that answers :func:`segheads.predict` as MMSegmentation's segmentors do.

    Args:
        model (segheads.runtime.ExportedModel): The model.

    Attributes:
        cfg (Config): What a config says of images: the test pipeline and the ``data_preprocessor``.
        dataset_meta (dict): 'classes' and their colours, 'palette'.
        exported (segheads.runtime.ExportedModel): The model itself.
    """

    def __init__(self, model: runtime.ExportedModel) -> None:
        description = model.description
        preprocessing = description.preprocessing
        padding = {
            name: preprocessing[name]
            for name in ('size', 'size_divisor')
            if preprocessing[name] is not None
        }
        self.exported = model
        self.data_preprocessor = SimpleNamespace(test_cfg=padding)
        self.cfg = Config(
            dict(
                default_scope='mmseg',
                model=dict(data_preprocessor=dict(bgr_to_rgb=preprocessing['swap_red_and_blue'])),
                test_pipeline=_with_tuples(description.test_pipeline),
            )
        )
        self.dataset_meta = dict(classes=description.classes, palette=description.palette)
        self.num_classes = len(description.classes)
        self.out_channels = description.output['channels']

    def test_step(self, data: dict[str, list[Any]]) -> list[SegDataSample]:
        """Segments images that the test pipeline has made.

        Args:
            data (dict): 'inputs', images (C, H, W) of one size, and 'data_samples', their metainfo.

        Returns:
            list[SegDataSample]: The samples, each with the class map ``pred_sem_seg`` (1, H, W);
            ``seg_logits`` are computed where something reads them.

        Raises:
            UserMistake: If the file cannot segment these images.
        """
        samples = data['data_samples']
        if any(sample.metainfo.get('flip') for sample in samples):
            raise UserMistake('an exported model takes no test pipeline that flips images')
        images = torch.stack(list(data['inputs'])).numpy()
        sizes = [sample.ori_shape[:2] for sample in samples]
        results = told_as_mistakes(self.exported.segment, images, sizes)
        for sample, result in zip(samples, results, strict=True):
            classes = torch.from_numpy(result.class_map())[None]
            sample.set_data(dict(pred_sem_seg=PixelData(data=classes)))
            attach_logits(sample, partial(_logits, result))
        return samples


def load_exported(
    path: str | Path, checkpoint: Any, device: str | None, runtime_name: str | None, threads: int | None
) -> ExportedSegmentor:
    """Loads an exported model; see :func:`segheads.load`.

    Args:
        path (str | Path): The file, or a folder of OpenVINO's.
        checkpoint (Any): What was given as checkpoint, which must be None.
        device (str | None): As for :func:`segheads.runtime.load`.
        runtime_name (str | None): As ``runtime`` of :func:`segheads.runtime.load`.
        threads (int | None): As for :func:`segheads.runtime.load`.

    Returns:
        ExportedSegmentor: The model.

    Raises:
        UserMistake: If the file cannot be loaded, or a checkpoint was given.
    """
    if checkpoint is not None:
        raise UserMistake(f'{path} is an exported model, which takes no checkpoint; leave it out')
    model = told_as_mistakes(
        runtime.load, path, runtime=runtime_name, device=device, threads=threads
    )
    return ExportedSegmentor(model)


def told_as_mistakes(function: Callable[..., Value], *arguments: Any, **settings: Any) -> Value:
    """Calls a function of the runtime, whose mistakes are those of a package of its own.

    Args:
        function (Callable): The function.
        *arguments (Any): Its arguments.
        **settings (Any): Those by name.

    Returns:
        Any: What it returns.

    Raises:
        UserMistake: What was a :class:`segheads.runtime.RunnerMistake`.
    """
    try:
        return function(*arguments, **settings)
    except runtime.RunnerMistake as mistake:
        raise UserMistake(str(mistake)) from mistake


def _logits(result: Any) -> torch.Tensor:
    return torch.from_numpy(told_as_mistakes(result.logits))


def _with_tuples(value: Any) -> Any:
    """Turns the lists of JSON into the tuples that transforms ask for, such as a ``scale``."""
    if isinstance(value, dict):
        return {name: _with_tuples(one) for name, one in value.items()}
    if isinstance(value, list):
        is_plain = all(isinstance(one, (int, float)) for one in value)
        return tuple(value) if is_plain and value else [_with_tuples(one) for one in value]
    return value
