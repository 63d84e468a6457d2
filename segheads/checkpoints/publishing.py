"""Checkpoints made ready to be shared."""

import hashlib
from pathlib import Path

from segheads.mistakes import UserMistake

from .contents import check_target, weights_of, write_weights
from .fit import check_checkpoint_file
from .safe_loading import read_checkpoint


def publish(source: str, target: Path) -> Path:
    """Writes the part of a checkpoint that others need.

    Args:
        source (str): The checkpoint of a training run.
        target (Path): The file to write, without the hash; its suffix says in which format.

    Returns:
        Path: The file that was written.

    Raises:
        UserMistake: If there are no weights in it.
        ValueError: If the suffix names no format.
    """
    check_target(target)
    check_checkpoint_file(source)
    checkpoint = read_checkpoint(source)
    weights = weights_of(checkpoint)
    if not weights:
        raise UserMistake(f'{source} holds no weights by name')
    write_weights(target, weights, checkpoint.get('meta') or {})
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    return target.rename(target.with_name(f'{target.stem}-{digest[:8]}{target.suffix}'))
