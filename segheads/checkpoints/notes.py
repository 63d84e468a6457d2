"""What a checkpoint says beside its weights, checked before anything believes it.

MMEngine takes notes of a checkpoint for configs to execute, files to remove and counts to go on
from. Here they are what they should be, or the checkpoint is refused; names and colours of classes
are for people only, so there a wrong note is left out with a warning.
"""

import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor

from .config_text import is_harmless
from .file_format import CheckpointError

COUNTS = ('epoch', 'iter', 'max_epochs', 'max_iters')
LARGEST_COUNT = 2**53
# Where the text of a config is kept that nothing may execute.
CONFIG_TEXT = 'config_text'
MOST_KEPT = 100_000


def check_notes(content: dict[str, Any], path: str) -> None:
    """Checks and disarms the notes of a checkpoint.

    Args:
        content (dict): The checkpoint after unwrapping; it is changed in place.
        path (str): Its file, for warnings.

    Raises:
        CheckpointError: If a note is of another kind than MMEngine writes; the text follows 'it'.
    """
    if 'meta' in content:
        content['meta'] = _checked_meta(content['meta'], path)
    if 'message_hub' in content:
        _check_message_hub(content['message_hub'])


def _checked_meta(meta: Any, path: str) -> dict[str, Any]:
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise CheckpointError(f'has notes (meta) that are no dict, but {_kind(meta)}')
    # The Runner executes a text under 'config', where MMSegmentation 0.x left it, and inferencers
    # one under 'cfg', where MMEngine keeps its own.
    for name in ('config', 'cfg'):
        if name in meta and (name == 'config' or not _may_be_executed(meta[name])):
            text = meta.pop(name)
            meta.setdefault(CONFIG_TEXT, text)
    for name in COUNTS:
        if name in meta:
            _check_count(meta[name], f'meta.{name}')
    for key, names, colours in (
        ('dataset_meta', 'classes', 'palette'),
        (None, 'CLASSES', 'PALETTE'),
    ):
        _check_classes(meta, key, names, colours, path)
    return meta


def _check_classes(
    meta: dict[str, Any], key: str | None, names: str, colours: str, path: str
) -> None:
    """Leaves out names and colours of classes that are none."""
    holder = meta if key is None else meta.get(key)
    if holder is None:
        return
    if not isinstance(holder, Mapping):
        _leave_out(meta, key, path)
        return
    if holder.get(names) is not None and not _are_names(holder[names]):
        _leave_out(holder, names, path)
    if holder.get(colours) is not None and not _are_colours(holder[colours]):
        _leave_out(holder, colours, path)


def _leave_out(notes: dict[str, Any], name: str, path: str) -> None:
    kind = 'names' if name.lower() == 'classes' else 'colours'
    kind = 'names and colours' if name == 'dataset_meta' else kind
    warnings.warn(
        f'{path}: its note {name!r} does not hold {kind} of classes, and is ignored', stacklevel=2
    )
    del notes[name]


def _are_names(names: Any) -> bool:
    is_list = isinstance(names, Sequence) and not isinstance(names, (str, bytes))
    return is_list and all(isinstance(name, str) for name in names)


def _are_colours(colours: Any) -> bool:
    try:
        values = np.asarray(colours)
    except (ValueError, TypeError):
        return False
    is_table = values.ndim == 2 and values.shape[1] == 3 and values.dtype.kind in 'iuf'
    if not is_table:
        return values.size == 0 and values.ndim == 1
    return bool((values >= 0).all() and (values <= 255).all() and (values == values.round()).all())


def _check_message_hub(hub: Any) -> None:
    parts = ('log_scalars', 'runtime_info', 'resumed_keys')
    if not isinstance(hub, dict) or not all(isinstance(hub.get(part, {}), dict) for part in parts):
        raise CheckpointError(
            'has a message_hub that is not a dict of the dicts log_scalars, runtime_info and '
            'resumed_keys'
        )
    for part in parts:
        if not all(isinstance(name, str) for name in hub.get(part, {})):
            raise CheckpointError(f'has a message_hub whose {part} are not named by texts')
    info = hub.get('runtime_info', {})
    for name, value in info.items():
        if name in COUNTS:
            _check_count(value, f'message_hub {name}')
        elif name.startswith('best_score'):
            if not _is_score(value):
                raise CheckpointError(f'notes {name} as {value!r:.60}, which is no score')
        elif name == 'last_ckpt' or name.startswith('best_ckpt'):
            if value is not None and (not isinstance(value, str) or '\0' in value):
                raise CheckpointError(f'notes {name} as {value!r:.60}, which is no path')
        elif name == 'keep_ckpt_ids':
            if not isinstance(value, (list, tuple)) or len(value) > MOST_KEPT:
                raise CheckpointError(f'notes {name} as {_kind(value)}, not as a list of numbers')
            for number in value:
                _check_count(number, name)
            info[name] = list(value)
    # Inferencers execute this one too.
    if 'cfg' in info and not _may_be_executed(info['cfg']):
        del info['cfg']
        hub.get('resumed_keys', {}).pop('cfg', None)


def _may_be_executed(text: Any) -> bool:
    return isinstance(text, str) and is_harmless(text, frozenset(sys.modules))


def _is_score(value: Any) -> bool:
    is_number = isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)
    return is_number and not math.isnan(value)


def _check_count(value: Any, name: str) -> None:
    is_count = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_count or not 0 <= value <= LARGEST_COUNT:
        raise CheckpointError(f'notes {name} as {value!r:.60}, which is no count')


def _kind(value: Any) -> str:
    return f'a {type(value).__name__}'
