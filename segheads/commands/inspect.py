"""List the names and shapes of the weights in a checkpoint, one line per module.

Meant for checkpoints whose code is not at hand: the names say what the modules were called, the
shapes what they were. Nothing in the file is executed. Of an exported model, what it says of itself
is printed: classes, test pipeline, where it comes from.

Example:
    segheads inspect iter_160000.pth --prefix decode_head
    segheads inspect model.onnx
"""

import argparse

from segheads.mistakes import UserMistake, near_matches
from segheads.runtime.description import is_exported, read_description, summarise
from segheads.runtime.mistakes import RunnerMistake

from .arguments import add_trust_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('checkpoint', help='checkpoint file, or exported model')
    parser.add_argument(
        '--prefix', default='', help='only modules below this one, e.g. decode_head'
    )
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Lists as the command line says.

    Raises:
        UserMistake: If the file cannot be read, or has nothing below the prefix.
    """
    if is_exported(options.checkpoint):
        print(_describe(options.checkpoint, options.prefix))
        return
    from segheads.checkpoints import trust_checkpoints
    from segheads.checkpoints.listing import count_values, list_modules, read_weights

    with trust_checkpoints(options.trust_checkpoint):
        weights = read_weights(options.checkpoint)
    below = options.prefix.rstrip('.') + '.' if options.prefix else ''
    chosen = {name: tensor for name, tensor in weights.items() if name.startswith(below)}
    if not chosen:
        modules = {name.rpartition('.')[0] for name in weights}
        raise UserMistake(
            f'--prefix: {options.checkpoint} has nothing below {options.prefix}'
            f'{near_matches(options.prefix, modules)}'
        )
    print(*list_modules(chosen), '', *count_values(chosen), sep='\n')


def _describe(path: str, prefix: str) -> str:
    if prefix:
        raise UserMistake(
            f'--prefix is for the weights of checkpoints; {path} is an exported model'
        )
    try:
        return summarise(read_description(path))
    except RunnerMistake as mistake:
        raise UserMistake(str(mistake)) from mistake
