"""An exported model in the place of a segmentor: predicted, drawn and served like any other."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from segheads import runtime
from segheads.mistakes import UserMistake

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
        self.out_channels = description.output['channels']
        self.decode_head = SimpleNamespace(threshold=description.output['threshold'])

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
            # Past the property, which takes only data that are there.
            object.__setattr__(sample, '_seg_logits', ExportedLogits(result))
        return samples


class ExportedLogits:
    """The ``seg_logits`` of a result, computed at the first look.

    Args:
        result (segheads.runtime.model.Result): What the model found.
    """

    def __init__(self, result: Any) -> None:
        self._result = result

    @cached_property
    def data(self) -> torch.Tensor:
        """The logits (C, H, W); of a single class the probability, as MMSegmentation has it."""
        logits = torch.from_numpy(told_as_mistakes(self._result.logits))
        return logits if self._result.threshold is None else logits.sigmoid()


def load_exported(path: str | Path, checkpoint: Any, **settings: Any) -> ExportedSegmentor:
    """Loads an exported model; see :func:`segheads.load`.

    Args:
        path (str | Path): The file, or a folder of OpenVINO's.
        checkpoint (Any): What was given as checkpoint, which must be None.
        **settings (Any): ``device``, ``runtime`` and ``threads``, as for
            :func:`segheads.runtime.load`.

    Returns:
        ExportedSegmentor: The model.

    Raises:
        UserMistake: If the file cannot be loaded, or a checkpoint was given.
    """
    if checkpoint is not None:
        raise UserMistake(f'{path} is an exported model, which takes no checkpoint; leave it out')
    return ExportedSegmentor(told_as_mistakes(runtime.load, path, **settings))


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


def _with_tuples(value: Any) -> Any:
    """Turns the lists of JSON into the tuples that transforms ask for, such as a ``scale``."""
    if isinstance(value, dict):
        return {name: _with_tuples(one) for name, one in value.items()}
    if isinstance(value, list):
        is_plain = all(isinstance(one, (int, float)) for one in value)
        return tuple(value) if is_plain and value else [_with_tuples(one) for one in value]
    return value
