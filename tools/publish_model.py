"""Make a checkpoint ready to be shared: weights and notes only, and a hash in its name.

States of optimizer, schedule and log are left out; the notes are the config, the versions and the
classes, of which a safetensors file keeps the last. The name gets 8 hexadecimal digits of the
file's SHA-256, as MMSegmentation's files have, so that a download can be checked.

Example:
    python tools/publish_model.py work_dirs/mine/iter_160000.pth ccaseg_b0_mine.pth
"""

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path

from segheads.checkpoints import read_checkpoint, trust_checkpoints
from segheads.checkpoints.contents import check_target, weights_of, write_weights
from segheads.checkpoints.fit import check_checkpoint_file
from segheads.commands.command_line import add_trust_argument, run_tool
from segheads.mistakes import UserMistake


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


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('source', metavar='IN', help='the checkpoint of a training run')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='the file to write, .pth or .safetensors'
    )
    add_trust_argument(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Publishes as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.
    """
    options = parse_arguments(arguments)
    with trust_checkpoints(options.trust_checkpoint):
        print(publish(options.source, options.target))


if __name__ == '__main__':
    run_tool(main)
