"""Write a released checkpoint in the names of segheads, as a file of PyTorch or safetensors.

There is no need to: tools and configs read the authors' checkpoints as they are. The method is
recognised from the names of the weights; CCASeg, CGRSeg, CCSNet and PCAA are known, as well as
their encoders MiT (NVIDIA's files) and EfficientFormerV2 on their own. The names and colours of the
classes are kept; the states of optimizer and schedule are not.

Example:
    segheads convert iter_160000.pth ccaseg_b0.safetensors
"""

import argparse
from pathlib import Path

from .arguments import add_trust_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('source', metavar='IN', help='the released checkpoint')
    parser.add_argument(
        'target', metavar='OUT', type=Path, help='the file to write, .pth or .safetensors'
    )
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Converts as the command line says."""
    from segheads.checkpoints import trust_checkpoints
    from segheads.checkpoints.converting import convert

    with trust_checkpoints(options.trust_checkpoint):
        print(convert(options.source, options.target))
