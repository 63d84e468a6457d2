"""A run that is resumed must be the run that was saved."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from segheads.checkpoints.fit import bare_model, unfit_weights
from segheads.checkpoints.notes import CONFIG_TEXT
from segheads.mistakes import UserMistake

# As MMEngine writes a config.
OPTIMIZER_TYPE = re.compile(r"\boptimizer=dict\((?:[^()]|\([^()]*\))*?\btype='(\w+)'")


@HOOKS.register_module()
class SameRunHook(Hook):
    """Raises an error if a run cannot go on from a checkpoint as the run that was saved.

    Weights, the optimizer's state and the schedulers' belong together. MMEngine logs which weights
    do not fit and fails in the middle of the rest, or goes on with a part of it. Batch sizes,
    processes, workers and the length of the run may differ.
    """

    # After hooks that change the checkpoint, such as the EMAHook.
    priority = 'VERY_LOW'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compares the run with the checkpoint that has just been read.

        Args:
            runner (Runner): The runner, which resumes from the checkpoint next.
            checkpoint (dict): The checkpoint.

        Raises:
            UserMistake: If model, optimizer or schedulers are others.
        """
        if not runner._resume:
            return
        difference = (
            _other_weights(runner, checkpoint)
            or _other_optimizer(runner.optim_wrapper, checkpoint)
            or _other_schedulers(runner.param_schedulers, checkpoint.get('param_schedulers'))
        )
        if difference:
            raise UserMistake(
                f'--resume continues the run that was saved, but {difference}; resume with the '
                'config of that run, or start a new one from its weights by --fine-tune '
                'CHECKPOINT or `--cfg-options load_from=CHECKPOINT`'
            )


def _other_weights(runner: Runner, checkpoint: Mapping[str, Any]) -> str | None:
    model = bare_model(runner.model)
    weights = checkpoint.get('state_dict', checkpoint)
    if unfit := unfit_weights(model, weights):
        return f'its checkpoint {unfit}'
    parts = {name.partition('.')[0] for name in model.state_dict()}
    gone = {name.removeprefix('module.').partition('.')[0] for name in weights} - parts
    return f'the config has no {" and ".join(sorted(gone))} any more' if gone else None


def _other_optimizer(wrapper: OptimWrapper, checkpoint: Mapping[str, Any]) -> str | None:
    saved = checkpoint.get('optimizer')
    if not isinstance(wrapper, OptimWrapper) or not isinstance(saved, Mapping):
        return None
    optimizer = wrapper.optimizer
    ours, theirs = optimizer.param_groups, saved.get('param_groups') or []
    name = type(optimizer).__name__
    found = OPTIMIZER_TYPE.search(str((checkpoint.get('meta') or {}).get(CONFIG_TEXT, '')))
    if found and found[1] != name:
        return f'its optimizer was {found[1]}, and that of the config is {name}'
    missing = sorted(_numbers_of(optimizer.defaults) - set(theirs[0] if theirs else ()))
    if missing:
        return f'its optimizer had no {" and ".join(missing)}, and that of the config is {name}'
    counts = [[len(group['params']) for group in groups] for groups in (theirs, ours)]
    if counts[0] == counts[1]:
        return None
    theirs, ours = (f'{sum(each)} parameters, {len(each)} groups' for each in counts)
    return (
        f'its optimizer had {theirs}, and that of the config has {ours}, by another paramwise_cfg '
        'or other frozen layers'
    )


def _numbers_of(defaults: Mapping[str, Any]) -> set[str]:
    """Returns the settings that make an optimizer; newer versions of PyTorch add switches to it."""
    return {
        name
        for name, value in defaults.items()
        if isinstance(value, (float, tuple)) and name not in ('lr', 'weight_decay')
    }


def _other_schedulers(ours: Any, theirs: Any) -> str | None:
    if not isinstance(ours, Sequence) or not isinstance(theirs, Sequence):
        return None
    if len(ours) != len(theirs):
        return f'it had {len(theirs)} parameter schedulers, and the config has {len(ours)}'
    for index, (scheduler, saved) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(saved, Mapping) and set(scheduler.state_dict()) != set(saved):
            return f'its param_scheduler.{index} was no {type(scheduler).__name__}'
    return None
