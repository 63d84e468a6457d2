"""Measure everything that only a GPU can tell, in at most 25 minutes.

Writes ``results.json`` and the page ``results.md`` after each part; what fails, hangs or cannot run
here is told there, and does not stop the rest.

Example:
    python -m benchmarks.gpu --camvid data/camvid
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.gpu.page import Outcome
from benchmarks.gpu.parts import PARTS, Options, Part
from benchmarks.gpu.processes import run_part
from benchmarks.gpu.results import forget_rows, write_results

MINUTES = 25
# Starting a process and rendering the page; a part with less time left is not begun.
LEAST_SECONDS = 5


def run(parts: Sequence[Part], options: Options, minutes: float) -> dict[str, Outcome]:
    """Run parts one after the other.

    Args:
        parts (Sequence[Part]): The parts.
        options (Options): How they run.
        minutes (float): How long all may take together.

    Returns:
        dict[str, Outcome]: How each ended, by name.
    """
    # Several parts may use up their time, none the time of the others.
    share = share_of(parts, minutes)
    end = time.perf_counter() + 60 * minutes
    outcomes: dict[str, Outcome] = {}
    for part in parts:
        left = end - time.perf_counter()
        if left < LEAST_SECONDS:
            outcomes[part.name] = Outcome('skipped', 0, 'no time is left')
        else:
            # In a dry run parts share the time: all are short, but machines may be slow.
            limit = left if options.dry_run else min(left, share * part.seconds)
            outcomes[part.name] = run_part(part, options, limit)
        write_results(options.out, outcomes)
        print(f'{part.title}: {outcomes[part.name]}', flush=True)
    return outcomes


def share_of(parts: Sequence[Part], minutes: float) -> float:
    """Return how much of its usual time each part may take.

    Args:
        parts (Sequence[Part]): The parts that run.
        minutes (float): How long all may take together.
    """
    return 60 * minutes / sum(part.seconds for part in parts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure as the command line says.

    Returns:
        int: 0, also if parts failed: the page tells; 2 if there is no GPU, 1 if a dry run failed.
    """
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(description='Measure everything that only a GPU can tell')
    parser.add_argument(
        '--out', default='runs/gpu', type=Path, help='folder for results.md and results.json'
    )
    parser.add_argument('--camvid', type=Path, help='folder of CamVid, to train on it')
    parser.add_argument(
        '--golden', type=Path, help='folder with the whole arrays of the golden cases (*.npz)'
    )
    parser.add_argument('--minutes', type=float, default=MINUTES, help='how long it may take')
    parser.add_argument('--only', nargs='+', choices=names, help='parts to run; default: all')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='run everything on the CPU, once and with tiny sizes, to see that it runs',
    )
    options = parser.parse_args(arguments)
    if not options.dry_run and not torch.cuda.is_available():
        print(
            'error: PyTorch sees no GPU here; install a build for your GPU, or take --dry-run',
            file=sys.stderr,
        )
        return 2
    parts = [part for part in PARTS if not options.only or part.name in options.only]
    settings = Options(
        out=options.out.resolve(),
        device='cpu' if options.dry_run else 'cuda',
        dry_run=options.dry_run,
        camvid=options.camvid and options.camvid.resolve(),
        golden=options.golden and options.golden.resolve(),
        share=share_of(parts, options.minutes),
    )
    settings.out.mkdir(parents=True, exist_ok=True)
    forget_rows(settings.out)
    outcomes = run(parts, settings, options.minutes)
    print(f'\nResults: {settings.out / "results.md"}')
    failed = any(outcome.status in ('failed', 'stopped') for outcome in outcomes.values())
    return int(options.dry_run and failed)


if __name__ == '__main__':
    sys.exit(main())
