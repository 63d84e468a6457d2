"""Time models and exported files side by side, on this machine.

MODEL is what `segheads export` wrote, a checkpoint with its config, CONFIG=CHECKPOINT, or a config
alone. An exported file is timed in every runtime that is installed and runs it. Each has a process
of its own, and all run by turns; a time is the median from pixels in memory to the class map,
without the resizing of the test pipeline. Memory is the most that a process held.

Example:
    segheads check-speed best.pth model.onnx model.pt2 --size 512x512 --threads 1 2
"""

import argparse
import os

from .arguments import add_device_argument, add_trust_argument, positive

SMALLEST_SIDE = 32
LARGEST_SIDE = 2**15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('models', nargs='+', metavar='MODEL')
    parser.add_argument(
        '--size',
        type=_size,
        default=(512, 512),
        metavar='HxW',
        help='of the image; default 512x512',
    )
    parser.add_argument(
        '--threads',
        type=positive,
        nargs='+',
        default=[_processors()],
        metavar='N',
        help='threads on the CPU, one or several numbers; default: as there are processors',
    )
    parser.add_argument(
        '--runs', type=positive, default=20, metavar='N', help='how often each runs; default 20'
    )
    add_device_argument(parser)
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Times as the command line says, and prints the table.

    Raises:
        UserMistake: If a model cannot be used.
    """
    from rich.console import Console
    from rich.table import Column, Table

    from segheads.export.speed import time_models

    timings = time_models(
        options.models,
        options.size,
        options.threads,
        options.runs,
        device=options.device,
        trusted=options.trust_checkpoint,
    )
    names = 'threads', 'ms', 'images/s', 'first ms', 'MiB'
    table = Table(
        Column('model', overflow='fold'),
        'runtime',
        *(Column(name, justify='right') for name in names),
    )
    for timing in timings:
        memory = '-' if timing.mebibytes is None else f'{timing.mebibytes:.0f}'
        table.add_row(
            timing.model,
            timing.runtime,
            str(timing.threads),
            f'{timing.milliseconds:.1f}',
            f'{1000 / timing.milliseconds:.1f}',
            f'{timing.first * 1000:.0f}',
            memory,
        )
    console = Console(highlight=False)
    if not console.is_terminal:  # nothing is cut off in a file
        console = Console(highlight=False, width=200)
    console.print(table)
    height, width = options.size
    print(
        f'Images of {height}x{width} (height x width) by turns, median of {options.runs}; '
        '"first" is loading and the first image.'
    )


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f'must be HEIGHTxWIDTH, as in 512x1024, but is {text!r}')
    height, width = map(int, parts)
    if not SMALLEST_SIDE <= min(height, width) <= max(height, width) <= LARGEST_SIDE:
        raise argparse.ArgumentTypeError(
            f'must be from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels per side, but is {text}'
        )
    return height, width


def _processors() -> int:
    """Counts the processors that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
