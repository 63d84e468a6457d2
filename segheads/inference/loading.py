"""A model from a checkpoint, or from a config and a checkpoint.

What :func:`load` returns is an ordinary segmentor of MMSegmentation, so that ``inference_model``
and everything else of MMSegmentation take it too. As its own method ``predict`` means something
else, prediction is a function beside it.
"""

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS

from segheads.checkpoints.fit import check_checkpoint_file, read_weights, set_weights
from segheads.checkpoints.pretrained import load_pretrained_parts, pretrained_parts
from segheads.checkpoints.safe_loading import are_trusted
from segheads.configs.loading import load_config, require_keys, told_as_mistakes
from segheads.configs.names import is_checkpoint
from segheads.configs.prediction_part import config_in_checkpoint
from segheads.configs.preflight import check_modules
from segheads.configs.pretrained import check_pretrained, forget_pretrained
from segheads.data.meta import dataset_meta
from segheads.mistakes import UserMistake
from segheads.runtime.description import is_exported
from segheads.weights.bundled import bundled_weights

from .exported_model import ExportedSegmentor, load_exported
from .images import test_pipeline


def load(
    config: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    *,
    pretrained: bool | str | Path = False,
    allow_partial: bool = False,
    runtime: str | None = None,
    threads: int | None = None,
) -> BaseSegmentor | ExportedSegmentor:
    """Builds a model, loads its weights and makes it ready to predict.

    Args:
        config (str | Path | Config): A name of :func:`segheads.list_models`, a config file or a
            config; or a checkpoint alone, which holds the config that it was trained with. That is
            read as data: nothing in it is executed, and only registered classes are built. Or what
            `segheads export` wrote: `.onnx`, `.pt2`, `.torchscript`, or a folder of OpenVINO's.
        checkpoint (str | Path | None): Weights for every parameter of the model. Default: None,
            which, behind a config, leaves the model with random weights, and warns.
        device (str | None): Such as 'cpu' or 'cuda:1'. Default: None, which is the GPU if there is
            one.
        pretrained (bool | str | Path): Whether the model gets the weights that come with the
            package for it, as 'cgrseg_r10t_scenes' has. For any other, whether its encoder gets
            the pretrained weights that the config names, or the same encoder's from elsewhere on
            this machine; or a file, folder or address of other ones, such as
            'hf://nvidia/mit-b0'. The head stays random. Default: False.
        allow_partial (bool): Whether parameters that the checkpoint lacks may stay random.
            Default: False.
        runtime (str | None): What runs an exported model: 'onnxruntime', 'openvino' or 'torch'.
            Default: None, the fastest that is installed and runs the file.
        threads (int | None): Threads of the runtime on the CPU. Default: None, what it takes.

    Returns:
        BaseSegmentor | ExportedSegmentor: The model, in evaluation mode. ``dataset_meta`` holds its
        'classes' and their colours, 'palette'; ``cfg`` its config.

    Raises:
        UserMistake: If the config or the checkpoint cannot be read, if the checkpoint does not fit
            the model, or if there is no such device or runtime. Also if pretrained weights are to
            be loaded beside a checkpoint, are not there, or do not fit the encoder.
        segheads.checkpoints.CheckpointError: If the checkpoint is damaged, or might run code.

    Examples:
        >>> model = segheads.load('cgrseg_r10t_scenes', pretrained=True)
        >>> model = segheads.load('work_dirs/mine/best_mIoU_iter_4000.pth')
        >>> model = segheads.load('ccaseg_b0_ade20k', 'iter_160000.pth')
        >>> class_map = segheads.predict(model, 'street.jpg')
        >>> segheads.draw(model, 'street.jpg', class_map).save('overlay.png')
    """
    if not isinstance(config, Config) and is_exported(config):
        return load_exported(config, checkpoint, device=device, runtime=runtime, threads=threads)
    if runtime is not None or threads is not None:
        raise UserMistake(
            'runtime and threads are for exported models; a model of a config runs in PyTorch, '
            'whose threads torch.set_num_threads sets'
        )
    bundled = None if isinstance(config, Config) else bundled_weights(config)
    if bundled and pretrained is True and checkpoint is None:
        checkpoint, pretrained = bundled, False
    target = _find_device(device)
    cfg, weights = _read_model(config, checkpoint)
    require_keys(cfg, ('model',))
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    check_modules(cfg)
    if pretrained:
        if weights is not None:
            raise UserMistake(
                f'the checkpoint {checkpoint or config} holds weights for the whole model: leave '
                'pretrained out'
            )
        _choose_pretrained(cfg, pretrained)
    else:
        forget_pretrained(cfg.model)
    named = list(pretrained_parts(cfg.model))
    with told_as_mistakes(cfg):
        model = MODELS.build(cfg.model)
    if pretrained and not named and getattr(model.backbone, 'pretrained', False) is True:
        model.backbone.init_weights()  # it downloads by itself
    elif pretrained:
        load_pretrained_parts(model, named)
    # It works across the processes of a training only.
    model = revert_sync_batchnorm(model)
    if weights is None:
        warnings.warn(
            f'no checkpoint was given, so the weights of the {"head" if pretrained else "model"} '
            'are random and what it predicts means nothing'
            f'{"; pretrained=True loads trained ones" if bundled and not pretrained else ""}',
            stacklevel=2,
        )
        meta = {}
    else:
        meta = set_weights(model, weights, allow_partial=allow_partial)
    model.dataset_meta = dataset_meta(meta, cfg, model.num_classes)
    # Where MMSegmentation's inference_model looks for it.
    cfg.setdefault('test_pipeline', test_pipeline(cfg))
    model.cfg = cfg
    return model.to(target).eval()


def _read_model(
    source: str | Path | Config, checkpoint: str | Path | None
) -> tuple[Config, Mapping[str, Any] | None]:
    """Reads the config and the weights of a model, whatever it is given by."""
    if isinstance(source, Config):
        return copy.deepcopy(source), checkpoint and read_weights(str(checkpoint))
    if not is_checkpoint(str(source)):
        # A mistake in either is told before the other, which takes long, is read.
        if checkpoint is not None:
            check_checkpoint_file(str(checkpoint))
        return load_config(str(source)), checkpoint and read_weights(str(checkpoint))
    if checkpoint is not None:
        raise UserMistake(
            f'{source} is a checkpoint, and so is said to be {checkpoint}; give a config and a '
            'checkpoint, in this order, or a checkpoint alone'
        )
    weights = read_weights(str(source))
    return config_in_checkpoint(weights.get('meta') or {}, str(source), are_trusted()), weights


def _choose_pretrained(cfg: Config, pretrained: bool | str | Path) -> None:
    """Lets the encoder of a config name weights that are there."""
    if pretrained is not True:
        check_checkpoint_file(str(pretrained))
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(pretrained))
        cfg.model.pop('pretrained', None)
    check_pretrained(cfg.model)


def _find_device(device: str | None) -> torch.device:
    try:
        found = torch.device(device or get_device())
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:  # AssertionError: PyTorch built without CUDA
        reason = str(error).partition('\n')[0]
        raise UserMistake(f'the device {device} cannot be used ({reason}); try cpu') from error
    return found
