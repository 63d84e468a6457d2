"""A released checkpoint as a file in our names."""

from pathlib import Path

from segheads.mistakes import UserMistake

from .contents import check_target, class_names_of, weights_of, write_weights
from .conversion import convert_weights
from .file_format import CheckpointError
from .fit import check_checkpoint_file
from .safe_loading import read_checkpoint


def convert(source: str, target: Path) -> str:
    """Converts a checkpoint.

    Args:
        source (str): The released file.
        target (Path): The file to write; its suffix says in which format.

    Returns:
        str: What was done.

    Raises:
        UserMistake: If the method is unknown.
        ValueError: If the target exists, or its suffix names no format.
    """
    check_target(target)
    check_checkpoint_file(source)
    checkpoint = read_checkpoint(source)
    try:
        weights, recognised = convert_weights(weights_of(checkpoint))
    except CheckpointError as error:
        raise UserMistake(f'{source} cannot be converted: {error}') from error
    dataset_meta = class_names_of(checkpoint)
    write_weights(target, weights, dict(dataset_meta=dataset_meta) if dataset_meta else {})
    return (
        f'{source} is {recognised.method}, its names '
        f'{"as released" if recognised.is_released else "ours already"}; {target} holds '
        f'{len(weights)} weights and {"the" if dataset_meta else "no"} names of the classes'
    )
