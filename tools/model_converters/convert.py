"""Write a released checkpoint in the names of segheads, as a file of PyTorch or safetensors.

There is no need to: tools and configs read the authors' checkpoints as they are. The method is
recognised from the names of the weights; CCASeg, CGRSeg, CCSNet and PCAA are known, as well as
their encoders MiT (NVIDIA's files) and EfficientFormerV2 on their own. The names and colours of the
classes are kept; the states of optimizer and schedule are not.

Example:
    python tools/model_converters/convert.py iter_160000.pth ccaseg_b0.safetensors
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from segheads.checkpoints import CheckpointError, read_checkpoint, trust_checkpoints
from segheads.checkpoints.contents import (
    check_target,
    class_names_of,
    weights_of,
    write_weights,
)
from segheads.checkpoints.conversion import convert_weights
from segheads.checkpoints.fit import check_checkpoint_file
from segheads.commands.command_line import add_trust_argument, run_tool
from segheads.mistakes import UserMistake


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


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', metavar='IN', help='the released checkpoint')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='the file to write, .pth or .safetensors'
    )
    add_trust_argument(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Converts as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.
    """
    options = parse_arguments(arguments)
    with trust_checkpoints(options.trust_checkpoint):
        print(convert(options.source, options.target))


if __name__ == '__main__':
    run_tool(main)
