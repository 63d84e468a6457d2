"""Write a page about one or several training runs: curves, classes, pictures, cost, config.

The page is one HTML file that opens without a network; its plots also lie beside it as PNG. The
last checkpoint of each run is evaluated on its validation images, if both are there.

Example:
    python tools/report.py work_dirs/first work_dirs/second --out comparison.html
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track

from segheads.checkpoints import trust_checkpoints
from segheads.commands.command_line import add_trust_argument, run_tool
from segheads.mistakes import UserMistake, sentence_for
from segheads.report.evaluation import ModelOnData
from segheads.report.model_cost import ModelCost, model_cost
from segheads.report.page import ReportedRun, write_page
from segheads.report.run_log import read_run

IMAGES = 100
IMAGE_SIZE = (512, 512)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Reports as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.
    """
    options = parse_arguments(arguments)
    runs = [ReportedRun(read_run(folder)) for folder in options.work_dirs]
    name_apart(runs)
    path = Path(options.out or Path(options.work_dirs[0]) / 'report.html')
    if path.is_dir():
        raise UserMistake(f'--out {path} is a folder; give the name of an HTML file')
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = []
    for run in runs:
        run.cost = cost_of(run.log.config, notes, run.name)
        if not options.no_evaluate:
            with trust_checkpoints(options.trust_checkpoint):
                reason = evaluate(run, options.images)
            if reason:
                notes.append(f'{run.name} was not evaluated: {reason}.')
    for note in notes:
        print(f'note: {note}')
    write_page(runs, path, notes)
    print(f'{path.resolve()}')


def name_apart(runs: Sequence[ReportedRun]) -> None:
    """Lengthens names of work directories that several runs share."""
    names = [run.name for run in runs]
    for run in runs:
        if names.count(run.name) > 1:
            run.log.name = str(run.log.work_dir)


def cost_of(config: Config, notes: list[str], name: str) -> ModelCost | None:
    """Counts parameters and multiply-adds; why it was impossible goes to the notes."""
    init_default_scope(config.get('default_scope', 'mmseg'))
    preprocessor = config.model.get('data_preprocessor') or {}
    try:
        return model_cost(config.model, preprocessor.get('size') or IMAGE_SIZE)
    except Exception as error:  # any model of any registry may be in a config
        notes.append(f'The cost of {name} could not be counted: {error}.')
        return None


def evaluate(run: ReportedRun, num_images: int | None) -> str | None:
    """Evaluates the last checkpoint of a run.

    Args:
        run (ReportedRun): The run, which takes the results.
        num_images (int | None): Number of validation images, None for all.

    Returns:
        str | None: Why that was impossible, None if it was not.
    """
    if run.log.checkpoint is None:
        return 'there is no checkpoint in its work directory'
    try:
        model = ModelOnData(run.log.config, run.log.checkpoint)
        progress = partial(track, description=run.name)
        run.evaluation = model.evaluate(num_images, progress)
    except Exception as error:
        sentence = sentence_for(error)
        if sentence is None:
            raise
        return sentence
    run.model = model
    return None


def _count_or_all(text: str) -> int | None:
    if text == 'all':
        return None
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a positive number nor 'all'")
    return int(text)


if __name__ == '__main__':
    run_tool(main)
