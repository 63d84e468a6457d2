"""A page of one or several work directories."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track

from segheads.mistakes import UserMistake, sentence_for

from .evaluation import ModelOnData
from .model_cost import ModelCost, model_cost
from .page import ReportedRun, write_page
from .run_log import read_run

IMAGE_SIZE = (512, 512)


def report(
    work_dirs: Sequence[str],
    out: str | None = None,
    num_images: int | None = None,
    *,
    evaluated: bool = True,
) -> Path:
    """Writes a page about training runs.

    Args:
        work_dirs (Sequence[str]): Work directories of the runs.
        out (str | None): The page; None for ``report.html`` in the first of them. Default: None.
        num_images (int | None): Validation images to evaluate, evenly spaced; None for all.
            Default: None.
        evaluated (bool): Whether the last checkpoint of each run is evaluated. Default: True.

    Returns:
        Path: The page.

    Raises:
        UserMistake: If a folder holds no run, or ``out`` is a folder.
    """
    runs = [ReportedRun(read_run(folder)) for folder in work_dirs]
    name_apart(runs)
    path = Path(out or Path(work_dirs[0]) / 'report.html')
    if path.is_dir():
        raise UserMistake(f'--out {path} is a folder; give the name of an HTML file')
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = []
    for run in runs:
        run.cost = cost_of(run.log.config, notes, run.name)
        if evaluated:
            reason = evaluate(run, num_images)
            if reason:
                notes.append(f'{run.name} was not evaluated: {reason}.')
    for note in notes:
        print(f'note: {note}')
    write_page(runs, path, notes)
    return path


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
