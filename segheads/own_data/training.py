"""A training on a folder of images and masks, from the look at it to the report."""

import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from segheads.mistakes import UserMistake, sentence_for
from segheads.report.reporting import report
from segheads.training.atomic_files import write_atomically
from segheads.training.best_checkpoint import BEST
from segheads.training.console import CONSOLE, print_block
from segheads.training.saving import check_output_folder
from segheads.training.session import train as train_by_config

from .choices import Length, choose
from .config_file import CONFIG_NAME, config_text, write_lists
from .machine import look_at_machine
from .networks import find_network
from .survey import survey_data

WORK_DIRS = Path('work_dirs')
REPORTED_IMAGES = 100
BY_IMAGES = Length()
# Where config_file.py puts the hook that keeps the time.
BEGAN = 'custom_hooks.1.began'


def prepare(
    data: str | Path,
    work_dir: Path,
    *,
    model: str | None = None,
    length: Length = BY_IMAGES,
    fine_tune: str | None = None,
    processes: int = 1,
    skip_damaged: bool = False,
) -> Path:
    """Looks at data and machine, chooses what a training needs, says it, and writes the config.

    Args:
        data (str | Path): The folder, see :func:`.survey.survey_data`.
        work_dir (Path): Where the training writes.
        model (str | None): Name of a network, see :func:`.networks.find_network`. Default: None.
        length (Length): How long to train. Default: by the number of images.
        fine_tune (str | None): A checkpoint to start from. Default: None.
        processes (int): Processes that share a batch. Default: 1.
        skip_damaged (bool): Whether to go on without files that cannot be read. Default: False.

    Returns:
        Path: The config.

    Raises:
        UserMistake: If the data or a setting is wrong, or if the work directory holds a run.
    """
    if any(work_dir.glob('*.pth')):
        raise UserMistake(
            f'{work_dir} holds the checkpoints of a run; continue it by --resume, or name another '
            'folder by --work-dir'
        )
    machine = look_at_machine()
    network = find_network(model, machine.is_cpu, fine_tune)
    survey = survey_data(data, skip_damaged)
    choices = choose(survey, network, machine, length, processes)
    check_output_folder(str(work_dir))
    work_dir = work_dir.resolve()
    write_lists(survey, work_dir)
    config = work_dir / CONFIG_NAME
    start = f' --fine-tune {shlex.quote(str(fine_tune))}' if fine_tune else ''
    command = f'segheads train {_quoted(config)}{start}'
    write_atomically(config_text(survey, choices, work_dir, command).encode(), config)
    print_block({**choices.reasons, 'config': str(_shown(config))})
    for note in survey.notes:
        CONSOLE.print(f'note: {note}')
    return config


def train_on_data(
    data: str | Path,
    work_dir: str | Path | None = None,
    *,
    model: str | None = None,
    length: Length = BY_IMAGES,
    fine_tune: str | None = None,
    resume: bool = False,
    processes: int = 1,
    launch: Callable[[Path, dict[str, Any]], None] | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """Trains a network on a folder of images and masks.

    Args:
        data (str | Path): What `segheads import` wrote, or a folder with ``images/`` and
            ``annotations/`` or ``masks/``.
        work_dir (str | Path | None): Where config, logs, checkpoints and report go. Default: None,
            for ``work_dirs/NAME_OF_DATA``.
        model (str | None): Name of a network, such as 'ccaseg_b0'. Default: None, for one that
            suits the device and has encoder weights at hand.
        length (Length): How long to train. Default: by the number of images.
        fine_tune (str | None): A checkpoint to start from, without its classifiers; without
            ``model`` the network is that of the checkpoint. Default: None.
        resume (bool): Whether to continue the run in the work directory, by its config, whatever
            ``model`` and ``length`` say. Default: False.
        processes (int): Processes that share a batch. Default: 1.
        launch (Callable | None): Trains in several processes; it takes the config and the settings
            to override in it. Default: None, for one process.
        cfg_options (Mapping | None): Settings of the config to override. Default: None.
        **settings (Any): Other arguments of :func:`segheads.training.session.train`.

    Returns:
        Path: The best checkpoint.

    Raises:
        UserMistake: If anything in the data or the arguments is wrong.
        Interrupted: If a signal ended the run; a checkpoint has been written then.
    """
    began = time.time()
    folder = Path(work_dir) if work_dir else WORK_DIRS / Path(data).expanduser().resolve().name
    options = dict(cfg_options or {})
    if resume:
        config = _config_to_resume(folder, fine_tune)
    else:
        config = prepare(
            data,
            folder,
            model=model,
            length=length,
            fine_tune=fine_tune,
            processes=processes,
            skip_damaged=settings.get('skip_damaged', False),
        )
        if length.minutes is not None:
            options.setdefault(BEGAN, began)
    if launch is not None and processes > 1:
        launch(config, options)
    else:
        train_by_config(
            str(config),
            work_dir=str(folder),
            cfg_options=options or None,
            fine_tune=fine_tune,
            resume=resume,
            **settings,
        )
    return _finish(folder, config)


def _config_to_resume(folder: Path, fine_tune: str | None) -> Path:
    config = folder / CONFIG_NAME
    if not config.is_file():
        raise UserMistake(f'{folder} holds no {CONFIG_NAME}, so there is no run to resume')
    if fine_tune:
        raise UserMistake(
            '--fine-tune starts a run and --resume continues one: to continue, leave --fine-tune '
            'out'
        )
    CONSOLE.print(f'note: {config} continues as it is; its model and length are changed there')
    return config


def _finish(folder: Path, config: Path) -> Path:
    """Writes the report, and says what can be done with the result."""
    best = folder / BEST
    lines = {'best': str(best)}
    try:
        lines['report'] = str(report([str(folder)], num_images=REPORTED_IMAGES))
    except Exception as error:  # the training itself is done
        lines['report'] = f'none ({sentence_for(error) or repr(error)})'
    model, source = _quoted(best), _quoted(folder / config.name)
    lines |= {
        'predict': f'segheads predict {model} PHOTOS --out predictions',
        'export': f'segheads export {source} {model} --with-preprocessing --with-argmax',
        'page': f'segheads serve {source}={model}',
    }
    print_block(lines)
    return best


def _quoted(path: Path) -> str:
    return shlex.quote(str(_shown(path)))


def _shown(path: Path) -> Path:
    """Writes a path below the working directory relative to it, as people type it."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
