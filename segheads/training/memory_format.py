"""Maps whose channels are last in memory, where a GPU trains faster on them."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import HOOKS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from segheads.checkpoints.fit import bare_model
from segheads.layers.fastest_implementation import FastestImplementation, Measure, measure_on_gpu
from segheads.mistakes import UserMistake, near_matches
from segheads.registered_types import is_type

CHOICES = ('auto', 'on', 'off')


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Lets encoder and heads work on maps whose channels are last in memory.

    Convolutions of GPUs are made for that order in 16 bits; attention over tokens has to turn it
    back. So with 'auto' the first batch of a training under autocast on a GPU is run in both
    orders, forward and backward, and the faster one stays; random numbers and the statistics of
    norms are left as they were. Elsewhere 'auto' changes nothing. Each process chooses by itself.

    Parameters keep their names, shapes and values: checkpoints are the same.

    Args:
        choice (str): 'auto' or 'on'. Default: 'auto'.
        measure (Callable): Measures a training step. Default: by events on the GPU.

    Raises:
        UserMistake: If ``choice`` is something else.
    """

    def __init__(self, choice: str = 'auto', measure: Measure = measure_on_gpu) -> None:
        if choice not in CHOICES[:2]:
            raise UserMistake(f"ChannelsLastHook: choice is {choice!r}, but must be 'auto' or 'on'")
        self.is_open = choice == 'auto'
        # All the memory that is free: this is what the training needs.
        self.fastest = FastestImplementation('Training step', measure, memory_share=1.0)

    def before_train(self, runner: Runner) -> None:
        """Change the order where that is asked for."""
        if not self.is_open:
            MemoryFormat(bare_model(runner.model), runner.distributed).set(True)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Choose the order by the first batch."""
        if not self.is_open:
            return
        self.is_open = False
        model = bare_model(runner.model)
        reason = _reason_not_to_measure(runner, model)
        if reason:
            print_log(f'The order of the channels in memory stays: {reason}.', logger='current')
            return
        memory_format = MemoryFormat(model, runner.distributed)

        def trial(channels_last: bool) -> Callable[[], None]:
            def run() -> None:
                memory_format.set(channels_last)
                _run_forward_and_backward(runner, model, data_batch)

            return run

        with _unchanged(model, runner.distributed):
            chosen = self.fastest.choose(
                f'batch of {len(data_batch["inputs"])}',
                dict(channels_last=trial(True), channels_first=trial(False)),
            )
        memory_format.set(chosen == 'channels_last')


class MemoryFormat:
    """The order of the channels in the networks of a segmentor.

    Args:
        model (nn.Module): A segmentor, or what contains one.
        keep_parameters (bool): Whether only the maps change. Distributed training has prepared
            buffers for the gradients, in the order of the parameters.
    """

    def __init__(self, model: nn.Module, keep_parameters: bool = False) -> None:
        self.segmentors = [part for part in model.modules() if isinstance(part, BaseSegmentor)]
        self.keep_parameters = keep_parameters
        self.handles: list[RemovableHandle] = []

    def set(self, channels_last: bool) -> None:
        """Set the order; nothing happens where it is so already.

        Args:
            channels_last (bool): Whether the channels are last.
        """
        if channels_last == bool(self.handles):
            return
        while self.handles:
            self.handles.pop().remove()
        order = torch.channels_last if channels_last else torch.contiguous_format
        for segmentor in self.segmentors:
            if not self.keep_parameters:
                segmentor.to(memory_format=order)
            if channels_last:
                self.handles.append(segmentor.backbone.register_forward_pre_hook(_turn_images))


def request_channels_last(cfg: Config, choice: str) -> None:
    """Adds the hook to a config.

    Args:
        cfg (Config): The config of a training run; it is changed in place.
        choice (str): What was given for ``--channels-last``: 'auto', 'on' or 'off'. A config may
            have the hook by itself.

    Raises:
        UserMistake: If it is something else.
    """
    if choice not in CHOICES:
        raise UserMistake(
            f'channels_last is {choice!r}, but must be one of {", ".join(map(repr, CHOICES))}'
            f'{near_matches(str(choice), CHOICES)}'
        )
    hooks = list(cfg.get('custom_hooks') or [])
    if choice != 'off' and not any(is_type(hook, HOOKS, ChannelsLastHook) for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='ChannelsLastHook', choice=choice)]


def _turn_images(_: nn.Module, inputs: tuple) -> tuple:
    return tuple(
        x.contiguous(memory_format=torch.channels_last)
        if isinstance(x, Tensor) and x.dim() == 4
        else x
        for x in inputs
    )


def _reason_not_to_measure(runner: Runner, model: nn.Module) -> str | None:
    """Tell why the order is no question, or None."""
    if not is_on_gpu(model):
        return 'there is something to choose on a GPU only'
    if torch.are_deterministic_algorithms_enabled():
        return 'a run that can be repeated does not depend on times'
    with runner.optim_wrapper.optim_context(model):
        if not torch.is_autocast_enabled(next(model.parameters()).device.type):
            return 'there is something to choose under autocast only (--amp)'
    if any('forward' in vars(part) or '_decode' in vars(part) for part in model.modules()):
        return 'compiled networks choose it by themselves'
    return None


def is_on_gpu(model: nn.Module) -> bool:
    """Tell whether a model is on a GPU."""
    return next(model.parameters()).is_cuda


def _run_forward_and_backward(runner: Runner, model: nn.Module, batch: dict) -> None:
    """Do the work of a training step on a batch, without its effects on parameters and batch."""
    samples = [sample.clone() for sample in batch['data_samples']]
    data = model.data_preprocessor({**batch, 'data_samples': samples}, training=True)
    with runner.optim_wrapper.optim_context(model):
        losses = model(**data, mode='loss')
    loss, _ = model.parse_losses(losses)
    parameters = [p for p in model.parameters() if p.requires_grad]
    torch.autograd.grad(loss, parameters, allow_unused=True)


@contextmanager
def _unchanged(model: nn.Module, distributed: bool) -> Iterator[None]:
    """Bring back random numbers and the statistics of norms, and keep norms from communicating."""
    states = random.getstate(), np.random.get_state()
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.training and distributed]
    # A process that runs out of memory would leave the others waiting for its statistics.
    for norm in norms:
        norm.training = False
    try:
        device = next(model.parameters()).device
        with torch.random.fork_rng(devices=[device] if device.type == 'cuda' else []):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        for norm in norms:
            norm.training = True
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
