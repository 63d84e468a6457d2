"""Mixed precision on devices that MMEngine's ``AmpOptimWrapper`` refuses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from segheads.mistakes import UserMistake
from segheads.registered_types import set_type, type_name, type_of


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """Runs the forward pass under :class:`torch.autocast` on whatever device the model is.

    MMEngine's ``AmpOptimWrapper`` is for accelerators and float16. bfloat16 has the exponents of
    float32, so no loss scaling is needed here, and CPUs support it.

    Args:
        dtype (str): Data type of the forward pass, 'bfloat16' or 'float16'.
            Default: 'bfloat16'.
        **kwargs: Arguments of :class:`mmengine.optim.OptimWrapper`.

    Raises:
        ValueError: If ``dtype`` is something else.
    """

    def __init__(self, dtype: str = 'bfloat16', **kwargs: Any) -> None:
        if dtype not in ('bfloat16', 'float16'):
            raise ValueError(
                f"AutocastOptimWrapper: dtype must be 'bfloat16' or 'float16', got {dtype!r}"
            )
        super().__init__(**kwargs)
        self.dtype = getattr(torch, dtype)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Enters gradient accumulation's context and autocast around the forward pass.

        Args:
            model (nn.Module): The model that is trained.
        """
        device_type = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device_type, self.dtype):
            yield


def choose_precision(cfg: Config, mixed: bool) -> None:
    """Sets the optimiser wrapper for mixed precision that the device supports.

    Accelerators train with MMEngine's ``AmpOptimWrapper``, as MMSegmentation's ``--amp`` does, and
    CPUs with :class:`AutocastOptimWrapper`.

    Args:
        cfg (Config): The config of a training run; it is changed in place.
        mixed (bool): Whether ``--amp`` was given. A config may ask for it by itself.

    Raises:
        UserMistake: If the config has an optimiser wrapper that mixed precision cannot replace.
    """
    wrapper = cfg.optim_wrapper
    found = type_of(wrapper, OPTIM_WRAPPERS) if 'type' in wrapper else OptimWrapper
    if mixed and found not in (OptimWrapper, AmpOptimWrapper, AutocastOptimWrapper):
        raise UserMistake(
            "--amp replaces optim_wrapper.type='OptimWrapper' only, but the config has "
            f'{type_name(wrapper)!r}'
        )
    wants_mixed = found is AmpOptimWrapper or (mixed and found is OptimWrapper)
    if not wants_mixed:
        return
    if get_device() == 'cpu':
        set_type(wrapper, 'AutocastOptimWrapper')
        wrapper.pop('loss_scale', None)
        wrapper.pop('use_fsdp', None)
        wrapper.dtype = 'bfloat16'
    elif found is OptimWrapper:
        set_type(wrapper, 'AmpOptimWrapper')
        wrapper.loss_scale = 'dynamic'
