"""A checkpoint that does not fit its model must not pass silently."""

import difflib
import re
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from .mistakes import UserMistake

NAMES_TO_SHOW = 3


def check_checkpoint_file(path: str) -> None:
    """Checks that a checkpoint is there and is one, without reading its weights.

    Args:
        path (str): A file; addresses such as ``https://...`` pass unchecked.

    Raises:
        UserMistake: If the file does not exist (the sentence names similar ones) or is no file
            that PyTorch wrote, which an interrupted copy or download is not either.
    """
    if '://' in path:
        return
    file = Path(path).expanduser()
    if not file.is_file():
        raise UserMistake(f'the checkpoint {path} does not exist{_similar_checkpoints(file)}')
    with file.open('rb') as stream:
        # Until PyTorch 1.6 checkpoints were plain pickles, which start with this byte.
        is_pickle = stream.read(1) == b'\x80'
    if not is_pickle and not zipfile.is_zipfile(file):
        raise UserMistake(
            f'{path} is not a checkpoint of PyTorch, or only a part of one; copy or download it '
            'again'
        )


def latest_checkpoint(work_dir: str) -> str | None:
    """Finds what ``--resume`` continues from.

    Args:
        work_dir (str): The work directory of the run.

    Returns:
        str | None: The checkpoint that was saved last, or None if nothing was saved.

    Raises:
        UserMistake: If that checkpoint has been moved or deleted.
    """
    note = Path(work_dir) / 'last_checkpoint'
    if not note.is_file():
        return None
    path = note.read_text().strip()
    if not Path(path).is_file():
        raise UserMistake(
            f'--resume: {note} names {path}, which does not exist; write the checkpoint to resume '
            f'into it, or resume with `--cfg-options load_from=CHECKPOINT`'
        )
    return path


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Raises an error if a checkpoint leaves weights of the model as they were.

    MMEngine loads what fits and only logs the rest, so that a model evaluated with half of its
    weights random looks like a bad model. Whether a checkpoint fits is found by loading it, because
    modules may translate the names in it. What the checkpoint has more than the model, such as an
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
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        missing, mismatched = unfit_weights(model, checkpoint.get('state_dict', checkpoint))
        if not missing and not mismatched:
            return
        faults = []
        if missing:
            faults.append(f'lacks {_summary(missing)}')
        if mismatched:
            faults.append(f'has other shapes for {_summary(mismatched)}')
        raise UserMistake(
            f'the checkpoint does not fit the model: it {" and ".join(faults)}; give the config '
            'that it was trained with, or --allow-partial to leave these weights random'
        )


def unfit_weights(model: nn.Module, state_dict: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Loads what fits into a model and returns what did not.

    Args:
        model (nn.Module): The model; its weights change.
        state_dict (dict): Weights by name.

    Returns:
        tuple[list[str], list[str]]: Names of the model's weights that are missing in
        ``state_dict``, and names of those that have another shape there.
    """
    # As MMEngine does: the wrapper of distributed training may have left its prefix.
    weights = OrderedDict((re.sub(r'^module\.', '', name), w) for name, w in state_dict.items())
    weights._metadata = getattr(state_dict, '_metadata', OrderedDict())
    missing: list[str] = []

    def note_missing(module: nn.Module, incompatible: Any) -> None:
        missing.extend(incompatible.missing_keys)

    handle = model.register_load_state_dict_post_hook(note_missing)
    try:
        model.load_state_dict(weights, strict=False)
        mismatched = []
    except RuntimeError as error:
        # PyTorch returns missing names, but says only in this text which shapes differ.
        mismatched = re.findall(r'size mismatch for (\S+):', str(error))
        if not mismatched:
            raise
    finally:
        handle.remove()
    # Counts of batches seen came with PyTorch 0.4.1, and no prediction depends on them.
    missing = [name for name in missing if not name.endswith('num_batches_tracked')]
    return missing, mismatched


def _summary(names: Iterable[str]) -> str:
    """Groups names of weights by the part of the model: ``3 of decode_head (a, b, ...)``."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[name.partition('.')[0]].append(name)
    return ', '.join(
        f'{len(group)} of {part} ({", ".join(group[:NAMES_TO_SHOW])}'
        f'{", ..." if len(group) > NAMES_TO_SHOW else ""})'
        for part, group in groups.items()
    )


def _similar_checkpoints(file: Path) -> str:
    if not file.parent.is_dir():
        return f', nor does the folder {file.parent}'
    others = sorted(other.name for other in file.parent.glob('*.pth'))
    close = difflib.get_close_matches(file.name, others, n=3, cutoff=0.6)
    if close:
        return f'; did you mean {" or ".join(str(file.parent / name) for name in close)}?'
    return f'; {file.parent} holds {", ".join(others[:5])}' if others else ''
