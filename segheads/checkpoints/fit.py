"""A checkpoint that does not fit its model must not pass silently."""

import difflib
import re
from collections import Counter, OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import CheckpointLoader, Runner
from mmengine.runner.checkpoint import load_state_dict
from mmseg.registry import HOOKS
from torch import Tensor, nn

from segheads.checkpoints.file_format import file_format
from segheads.mistakes import UserMistake

ITEMS_TO_SHOW = 4
SIZE_MISMATCH = re.compile(
    r'size mismatch for (\S+): .* torch\.Size\((\[.*?\])\) .* torch\.Size\((\[.*?\])\)'
)


def check_checkpoint_file(path: str) -> None:
    """Checks that a checkpoint is there and is one, without reading its weights.

    Args:
        path (str): A file; addresses such as ``https://...`` pass unchecked.

    Raises:
        UserMistake: If the file does not exist; the sentence names similar ones.
        segheads.checkpoints.CheckpointError: If it is no checkpoint, or only the beginning of one,
            as an interrupted copy or download is.
    """
    if '://' in path:
        return
    file = Path(path).expanduser()
    if not file.exists():
        raise UserMistake(f'the checkpoint {path} does not exist{_similar_checkpoints(file)}')
    file_format(file)


@dataclass
class Unfit:
    """What a checkpoint leaves unset in a model.

    Args:
        missing (list[str]): Names of the model's weights that the checkpoint lacks.
        mismatched (dict[str, tuple]): By name, shapes in the checkpoint and in the model.
        model_names (list[str]): Names of all weights of the model.
    """

    missing: list[str]
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    model_names: list[str]

    def __bool__(self) -> bool:
        return bool(self.missing or self.mismatched)

    def __str__(self) -> str:
        """Groups by the part of the model: ``lacks backbone 3 of 208 (layers.0.1.weight, ...)``."""
        faults = []
        if self.missing:
            faults.append(f'lacks {_enumerate(self._missing_parts())}')
        if self.mismatched:
            faults.append(f'differs in the shape of {_enumerate(self._mismatched_modules())}')
        cause = ''
        if counts := self._class_counts():
            cause = f': the checkpoint has {counts[0]} classes, the config {counts[1]}'
        return ' and '.join(faults) + cause

    def _missing_parts(self) -> list[str]:
        totals = Counter(map(_part, self.model_names))
        return [
            f'{part} {count} of {totals[part]} '
            f'({next(name for name in self.missing if _part(name) == part)}'
            f'{", ..." if count > 1 else ""})'
            for part, count in Counter(map(_part, self.missing)).items()
        ]

    def _mismatched_modules(self) -> list[str]:
        modules: dict[str, str] = {}
        for name, (theirs, ours) in self.mismatched.items():
            modules.setdefault(name.rpartition('.')[0], _difference(theirs, ours))
        return [f'{module} ({difference})' for module, difference in modules.items()]

    def _class_counts(self) -> tuple[int, int] | None:
        for name, (theirs, ours) in self.mismatched.items():
            if name.endswith('conv_seg.weight') and theirs[1:] == ours[1:]:
                return theirs[0], ours[0]
        return None


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Raises an error if a checkpoint leaves weights of the model as they were.

    MMEngine loads what fits and only logs the rest, so that a model evaluated with half of its
    weights random looks like a bad model. What the checkpoint has more than the model, such as an
    auxiliary head, does no harm.
    """

    # After hooks that change the checkpoint, such as the EMAHook.
    priority = 'VERY_LOW'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Compares the model with the checkpoint that has just been read.

        Args:
            runner (Runner): The runner, which loads the checkpoint next.
            checkpoint (dict): The checkpoint.

        Raises:
            UserMistake: If the checkpoint lacks weights of the model, or has them in other shapes.
        """
        check_fit(bare_model(runner.model), checkpoint.get('state_dict', checkpoint))


def load_weights(
    model: nn.Module, path: str, *, allow_partial: bool = False, map_location: Any = 'cpu'
) -> dict[str, Any]:
    """Loads a checkpoint into a model, all of it or nothing.

    Args:
        model (nn.Module): The model.
        path (str): A file, or an address that MMEngine knows.
        allow_partial (bool): Whether weights of the model that the checkpoint lacks, or has in
            another shape, may stay as they are. Default: False.
        map_location (optional): As for ``torch.load``. Default: 'cpu'.

    Returns:
        dict: What the checkpoint notes beside weights, such as ``dataset_meta``, the names and
        colours of the classes; empty if it has no notes.

    Raises:
        UserMistake: If the file does not exist or the checkpoint does not fit; the model is then
            as it was before.
        segheads.checkpoints.CheckpointError: If the file is damaged, or might run code.
    """
    return set_weights(model, read_weights(path, map_location), allow_partial=allow_partial)


def read_weights(path: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Reads a checkpoint for :func:`set_weights`.

    Args:
        path (str): A file, or an address that MMEngine knows.
        map_location (optional): As for ``torch.load``. Default: 'cpu'.

    Returns:
        dict: The content, as :func:`segheads.checkpoints.read_checkpoint` returns it.

    Raises:
        UserMistake: If the file does not exist.
        segheads.checkpoints.CheckpointError: If the file is damaged, or might run code.
    """
    check_checkpoint_file(path)
    return CheckpointLoader.load_checkpoint(path, map_location=map_location, logger='silent')


def set_weights(
    model: nn.Module, checkpoint: Mapping[str, Any], *, allow_partial: bool = False
) -> dict[str, Any]:
    """Sets the weights of a model, all of them or none; see :func:`load_weights`.

    Args:
        model (nn.Module): The model.
        checkpoint (Mapping): What :func:`read_weights` returns.
        allow_partial (bool): As for :func:`load_weights`. Default: False.

    Returns:
        dict: The notes of the checkpoint.

    Raises:
        UserMistake: If the checkpoint does not fit; the model is then as it was before.
    """
    weights = checkpoint.get('state_dict', checkpoint)
    if not allow_partial:
        check_fit(model, weights, option='allow_partial=True')
    load_state_dict(model, weights)
    return checkpoint.get('meta') or {}


def check_fit(
    model: nn.Module, state_dict: Mapping[str, Any], option: str = '--allow-partial'
) -> None:
    """Checks that a checkpoint sets every weight of a model, without changing the model.

    Args:
        model (nn.Module): The model.
        state_dict (Mapping): Weights by name.
        option (str): What the user gives to load nevertheless. Default: '--allow-partial'.

    Raises:
        UserMistake: If it lacks weights of the model, or has them in other shapes.
    """
    unfit = unfit_weights(model, state_dict)
    if unfit:
        raise UserMistake(
            f'the checkpoint does not fit the model: it {unfit}; give the config that it was '
            f'trained with, or {option} to leave these weights random{_remedy(unfit)}'
        )


def _remedy(unfit: Unfit) -> str:
    """Says how to train for other classes, where these are all that differ."""
    if unfit.missing or not all('conv_seg' in name for name in unfit.mismatched):
        return ''
    return '; to train for other classes, start by --fine-tune CHECKPOINT'


def unfit_weights(model: nn.Module, state_dict: Mapping[str, Any]) -> Unfit:
    """Finds what a checkpoint would leave unset in a model.

    Modules may translate the names in a checkpoint while they load it, so it is loaded: shapes
    without values into a copy without values.

    Args:
        model (nn.Module): The model; it is not changed.
        state_dict (Mapping): Weights by name.

    Returns:
        Unfit: Missing weights, and those of another shape.
    """
    # As MMEngine does: the wrapper of distributed training may have left its prefix.
    shapes = OrderedDict(
        (re.sub(r'^module\.', '', name), value.to('meta') if isinstance(value, Tensor) else value)
        for name, value in state_dict.items()
    )
    shapes._metadata = getattr(state_dict, '_metadata', OrderedDict())
    copy = _without_values(model)
    missing: list[str] = []

    def note_missing(module: nn.Module, incompatible: Any) -> None:
        missing.extend(incompatible.missing_keys)

    copy.register_load_state_dict_post_hook(note_missing)
    mismatched = {}
    try:
        with torch.device('meta'):  # for what modules add, such as batch norms their counts
            copy.load_state_dict(shapes, strict=False)
    except RuntimeError as error:
        # PyTorch returns missing names, but says only in this text which shapes differ.
        for name, theirs, ours in SIZE_MISMATCH.findall(str(error)):
            mismatched[name] = (_shape(theirs), _shape(ours))
        if not mismatched:
            raise
    # Counts of batches seen came with PyTorch 0.4.1, and no prediction depends on them.
    missing = [name for name in missing if not name.endswith('num_batches_tracked')]
    return Unfit(missing, mismatched, list(model.state_dict()))


def bare_model(model: nn.Module) -> nn.Module:
    """Takes a model out of what distributed training and test-time augmentation wrap around it."""
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _without_values(model: nn.Module) -> nn.Module:
    """Copies a model, hooks included, with shapes in place of tensors: it takes no memory."""
    copies: dict[int, Any] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        shape = torch.empty_like(tensor, device='meta')
        is_parameter = isinstance(tensor, nn.Parameter)
        copies[id(tensor)] = nn.Parameter(shape, tensor.requires_grad) if is_parameter else shape
    return deepcopy(model, copies)


def _part(name: str) -> str:
    return name.partition('.')[0]


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in re.findall(r'\d+', text))


def _difference(theirs: tuple[int, ...], ours: tuple[int, ...]) -> str:
    """Writes two shapes: ``150 vs 19`` where only the first dimension differs."""
    if len(theirs) == len(ours) > 0 and theirs[1:] == ours[1:]:
        return f'{theirs[0]} vs {ours[0]}'
    return ' vs '.join('x'.join(map(str, shape)) or 'scalar' for shape in (theirs, ours))


def _enumerate(items: list[str]) -> str:
    shown = ', '.join(items[:ITEMS_TO_SHOW])
    return shown + (f' and {len(items) - ITEMS_TO_SHOW} more' if items[ITEMS_TO_SHOW:] else '')


def _similar_checkpoints(file: Path) -> str:
    if not file.parent.is_dir():
        return f', nor does the folder {file.parent}'
    others = sorted(other.name for other in file.parent.glob('*.pth'))
    close = difflib.get_close_matches(file.name, others, n=3, cutoff=0.6)
    if close:
        return f'; did you mean {" or ".join(str(file.parent / name) for name in close)}?'
    return f'; {file.parent} holds {", ".join(others[:5])}' if others else ''
