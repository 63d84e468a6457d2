"""Write a page about one or several training runs: curves, classes, pictures, cost, config.

The page is one HTML file that opens without a network; its plots also lie beside it as PNG. The
last checkpoint of each run is evaluated on its validation images, if both are there.

Example:
    segheads report work_dirs/first work_dirs/second --out comparison.html
"""

import argparse

from .arguments import add_trust_argument

IMAGES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='work directory of a run')
    parser.add_argument(
        '--out', metavar='FILE', help='the page; report.html in the first work directory by default'
    )
    parser.add_argument(
        '--no-evaluate', action='store_true', help='report what the logs have, and run no model'
    )
    parser.add_argument(
        '--images',
        type=_count_or_all,
        default=IMAGES,
        metavar='N',
        help=f"validation images to evaluate, evenly spaced, or 'all' (default: {IMAGES})",
    )
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Reports as the command line says."""
    from segheads.checkpoints import trust_checkpoints
    from segheads.report.reporting import report

    with trust_checkpoints(options.trust_checkpoint):
        path = report(
            options.work_dirs, options.out, options.images, evaluated=not options.no_evaluate
        )
    print(path.resolve())


def _count_or_all(text: str) -> int | None:
    if text == 'all':
        return None
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a positive number nor 'all'")
    return int(text)
