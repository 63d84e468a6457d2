"""Make a checkpoint ready to be shared: weights and notes only, and a hash in its name.

States of optimizer, schedule and log are left out; the notes are the config, the versions and the
classes, of which a safetensors file keeps the last. The name gets 8 hexadecimal digits of the
file's SHA-256, as MMSegmentation's files have, so that a download can be checked.

Example:
    segheads publish work_dirs/mine/iter_160000.pth ccaseg_b0_mine.pth
"""

import argparse
from pathlib import Path

from .arguments import add_trust_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('source', metavar='IN', help='the checkpoint of a training run')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='the file to write, .pth or .safetensors'
    )
    parser.add_argument(
        '--half', action='store_true', help='write weights in 16 bits, which halves the file'
    )
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Publishes as the command line says."""
    from segheads.checkpoints import trust_checkpoints
    from segheads.checkpoints.publishing import publish

    with trust_checkpoints(options.trust_checkpoint):
        print(publish(options.source, options.target, options.half))
