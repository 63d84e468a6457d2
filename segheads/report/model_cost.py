"""Parameters and multiply-adds of a model, without running it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segheads.configs.pretrained import forget_pretrained
from segheads.segmentors.image_channels import image_channels


@dataclass(frozen=True)
class ModelCost:
    """What a model costs in inference.

    Attributes:
        parameters (int): Parameters, without those of auxiliary heads.
        head_parameters (int): Those of the decode heads.
        multiply_adds (int): Multiplications with addition in convolutions and matrix products,
            attention included, for one image.
        image_size (tuple[int, int]): Height and width of that image.
    """

    parameters: int
    head_parameters: int
    multiply_adds: int
    image_size: tuple[int, int]


def model_cost(model: Mapping[str, Any], image_size: tuple[int, int]) -> ModelCost:
    """Counts what a model costs.

    The model runs on PyTorch's meta device, which knows shapes and computes nothing. MMEngine's
    ``get_model_complexity_info`` cannot trace all heads, and leaves out the products of attention.

    Args:
        model (Mapping): The ``model`` of a config.
        image_size (tuple[int, int]): Height and width of an image.

    Returns:
        ModelCost: Its cost.
    """
    # Building a model changes its config.
    model = copy.deepcopy(dict(model))
    forget_pretrained(model)
    segmentor = revert_sync_batchnorm(MODELS.build(model)).eval().to('meta')
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        channels = image_channels(segmentor.backbone)
        segmentor(torch.empty(1, channels, *image_size, device='meta'))
    auxiliary = getattr(segmentor, 'auxiliary_head', None)
    return ModelCost(
        parameters=_count(segmentor) - (_count(auxiliary) if auxiliary is not None else 0),
        head_parameters=_count(segmentor.decode_head),
        # It counts a multiplication with addition as two operations.
        multiply_adds=counter.get_total_flops() // 2,
        image_size=tuple(image_size),
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
