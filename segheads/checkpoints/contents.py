"""What others need of a checkpoint: weights and class names, read and written."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .safetensors_file import save_safetensors

SUFFIXES = ('.pth', '.safetensors')


def weights_of(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Takes the weights out of a checkpoint.

    Args:
        checkpoint (Mapping): From :func:`segheads.checkpoints.read_checkpoint`.

    Returns:
        dict[str, Tensor]: Weights by name; empty if there are none.
    """
    entries = checkpoint.get('state_dict', checkpoint)
    return {
        name: value
        for name, value in entries.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def class_names_of(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """Takes the names and colours of the classes out of a checkpoint.

    Args:
        checkpoint (Mapping): From :func:`segheads.checkpoints.read_checkpoint`.

    Returns:
        dict | None: 'classes' and 'palette', as MMSegmentation 1.x calls them; None if the
        checkpoint does not tell.
    """
    meta = checkpoint.get('meta')
    if not isinstance(meta, Mapping):
        return None
    found = meta.get('dataset_meta')
    if not isinstance(found, Mapping):
        # MMSegmentation 0.x
        found = {'classes': meta.get('CLASSES'), 'palette': meta.get('PALETTE')}
    names = {name: found[name] for name in ('classes', 'palette') if found.get(name) is not None}
    return {name: [_plain(item) for item in value] for name, value in names.items()} or None


def check_target(target: Path) -> None:
    """Checks that a checkpoint can be written.

    Args:
        target (Path): The file to write.

    Raises:
        ValueError: If its suffix names no format, or it exists already.
        FileNotFoundError: If its folder does not exist.
    """
    if target.suffix not in SUFFIXES:
        raise ValueError(f'{target} must end in {" or ".join(SUFFIXES)}, which says the format')
    if target.exists():
        raise ValueError(f'{target} exists already; delete it or choose another name')
    if not target.parent.is_dir():
        raise FileNotFoundError(f'the folder {target.parent} does not exist; create it first')


def write_weights(target: Path, weights: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Writes a checkpoint that holds nothing but weights and notes, all of it or nothing.

    Args:
        target (Path): The file, ``.pth`` or ``.safetensors``.
        weights (dict[str, Tensor]): Weights by name.
        meta (dict): Notes, as MMEngine writes them. A safetensors file keeps the names and colours
            of the classes only.
    """
    # A name of its own, so that no half-written file ever has the final one.
    part = target.with_name(f'.{target.name}.part')
    try:
        if target.suffix == '.safetensors':
            save_safetensors(part, weights, class_names_of(dict(meta=meta)))
        else:
            torch.save(dict(meta=meta, state_dict=weights), part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _plain(item: Any) -> Any:
    """Colours are lists, tuples or arrays of numbers, class names are texts."""
    return item if isinstance(item, str) else [int(number) for number in item]
