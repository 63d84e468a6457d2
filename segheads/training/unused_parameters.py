"""Parameters that take no part in the loss, which several processes have to expect.

Processes wait for each other's gradients. Where an encoder yields maps that no head takes, there
are none for what only these maps need, and PyTorch's DistributedDataParallel stops in the second
step, unless it was made to look for such parameters in every step.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from torch import nn

from segheads.registered_types import is_type, set_type

NAMED_AT_MOST = 3


class UnusedParametersHook(Hook):
    """Finds the parameters that training iterations leave without a gradient.

    Attributes:
        unused (list[str]): Their names, in the order of the model.
    """

    def __init__(self) -> None:
        self.unused: list[str] = []

    def before_train(self, runner: Runner) -> None:
        """Watches the parameters of the model that are trained.

        Args:
            runner (Runner): The runner.
        """
        parameters = {n: p for n, p in runner.model.named_parameters() if p.requires_grad}
        self.unused = list(parameters)
        for name, parameter in parameters.items():
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: self._uses(name))

    def _uses(self, name: str) -> None:
        if name in self.unused:
            self.unused.remove(name)


def allow_unused_parameters(cfg: Config, unused: Sequence[str]) -> None:
    """Lets several processes train a model of which a part takes no part in the loss, and says so.

    Nothing happens if there is no such part, or if the config allows for it already.

    Args:
        cfg (Config): The config of a run; it is changed in place.
        unused (Sequence[str]): Names of the parameters without a gradient.
    """
    wrapper = cfg.get('model_wrapper_cfg')
    settings = cfg if wrapper is None else wrapper
    if not unused or settings.get('find_unused_parameters') or not _is_standard(wrapper):
        return
    settings.find_unused_parameters = True
    layers = list(dict.fromkeys(name.rpartition('.')[0] for name in unused))
    named = ', '.join(layers[:NAMED_AT_MOST]) + (', ...' if len(layers) > NAMED_AT_MOST else '')
    print_log(
        f'{len(unused)} parameters take no part in the loss ({named}): the encoder yields maps '
        'that no head takes, so find_unused_parameters=True is set for several processes; '
        'out_indices of the encoder may leave these maps out, which is faster.',
        logger='current',
    )


def agree_on_unused_parameters(cfg: Config) -> None:
    """Lets the processes of a run agree on whether to look for parameters without a gradient.

    Only the first of them may know that there are any. A wrapper other than MMEngine's own stays.

    Args:
        cfg (Config): The config of a run; it is changed in place.
    """
    wrapper = cfg.get('model_wrapper_cfg')
    if not _is_standard(wrapper):
        return
    if wrapper is None:
        wrapper = dict(
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
    cfg.model_wrapper_cfg = dict(wrapper)
    set_type(cfg.model_wrapper_cfg, AgreeingDataParallel.__name__)


def _is_standard(wrapper: Mapping[str, Any] | None) -> bool:
    if wrapper is None or 'type' not in wrapper:
        return True
    return is_type(wrapper, MODEL_WRAPPERS, MMDistributedDataParallel)


# The Runner looks the name up in MMEngine's own registry, whatever the scope.
@MODEL_WRAPPERS.register_module()
class AgreeingDataParallel(MMDistributedDataParallel):
    """``MMDistributedDataParallel`` that is made alike in all processes.

    Args:
        module (nn.Module): The model.
        find_unused_parameters (bool): Whether to look for parameters without a gradient in every
            step; all processes do if one is told to. Default: False.
        **kwargs: Arguments of ``MMDistributedDataParallel``.
    """

    def __init__(
        self, module: nn.Module, find_unused_parameters: bool = False, **kwargs: Any
    ) -> None:
        told = torch.tensor(int(find_unused_parameters))
        all_reduce(told, 'max')
        super().__init__(module=module, find_unused_parameters=bool(told), **kwargs)
