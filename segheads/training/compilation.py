"""``torch.compile`` for the networks of a segmentor."""

import copy
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.segmentors import BaseSegmentor
from mmseg.registry import HOOKS
from torch import nn

from segheads.registered_types import is_type


@HOOKS.register_module()
class CompileHook(Hook):
    """Compiles encoder, neck and heads of the segmentor before they first run.

    MMEngine's ``compile`` in a config does so with the whole training step, in which logging and
    the lists of labels break the graph again and again, and not for testing. Here each network is
    one graph. Parameters keep their names, so checkpoints are those of the model as it was.

    A second size of image compiles once more, for all sizes.

    Args:
        **options: Arguments of :func:`torch.compile`, such as ``mode`` and ``backend``.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options

    def before_train(self, runner: Runner) -> None:
        """Compile before training."""
        compile_networks(runner.model, **self.options)

    def before_val(self, runner: Runner) -> None:
        """Compile before validation, if nothing was trained."""
        compile_networks(runner.model, **self.options)

    def before_test(self, runner: Runner) -> None:
        """Compile before testing."""
        compile_networks(runner.model, **self.options)


def compile_networks(model: nn.Module, **options: Any) -> None:
    """Compile the networks of the segmentors in a model, in place; a second call changes nothing.

    Args:
        model (nn.Module): A segmentor, or what wraps one.
        **options: Arguments of :func:`torch.compile`.
    """
    for segmentor in model.modules():
        if isinstance(segmentor, BaseSegmentor):
            for network in _networks(segmentor):
                compile_network(network, **options)


def compile_network(network: nn.Module, **options: Any) -> None:
    """Compile an encoder, neck or head in place; a second call changes nothing.

    Args:
        network (nn.Module): The network. It keeps its class and the names of its parameters.
        **options: Arguments of :func:`torch.compile`.
    """
    # PCAA's loss needs more than its forward gives; both call `_decode`.
    method = '_decode' if hasattr(network, '_decode') else 'forward'
    if method not in vars(network):
        setattr(network, method, CompiledMethod(network, method, options))


class CompiledMethod:
    """A method of a network, compiled, that belongs to a copy of the network once that is copied.

    What :func:`torch.compile` returns goes on to run the network that it was made of, and cannot
    be pickled.

    Args:
        network (nn.Module): The network.
        name (str): Name of the method.
        options (dict): Arguments of :func:`torch.compile`.
    """

    def __init__(self, network: nn.Module, name: str, options: dict[str, Any]) -> None:
        self.network = network
        self.name = name
        self.options = options

    @cached_property
    def compiled(self) -> Callable[..., Any]:
        """What runs: made when it is first needed, because a copy is incomplete before."""
        method = getattr(type(self.network), self.name).__get__(self.network)
        return torch.compile(method, **self.options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the method."""
        return self.compiled(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'CompiledMethod':
        return CompiledMethod(copy.deepcopy(self.network, memo), self.name, self.options)

    def __getstate__(self) -> dict[str, Any]:
        return dict(network=self.network, name=self.name, options=self.options)


def request_compilation(cfg: Config, compiled: bool) -> None:
    """Adds the hook to a config.

    Args:
        cfg (Config): The config of a run; it is changed in place.
        compiled (bool): Whether ``--compile`` was given. A config may have the hook by itself.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    if compiled and not any(is_type(hook, HOOKS, CompileHook) for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type='CompileHook')]


def _networks(segmentor: BaseSegmentor) -> Iterator[nn.Module]:
    for name in ('backbone', 'neck', 'decode_head', 'auxiliary_head'):
        network = getattr(segmentor, name, None)
        if isinstance(network, nn.ModuleList):
            yield from network
        elif network is not None:
            yield network
