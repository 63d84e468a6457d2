"""What a work directory tells about a run: scalars, config, versions and checkpoint."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from segheads.mistakes import UserMistake

# Lines of MMEngine's log that say what the run ran on.
ENVIRONMENT = ('Python', 'PyTorch', 'TorchVision', 'OpenCV', 'MMEngine', 'CUDA available', 'GPU 0')


@dataclass
class RunLog:
    """A run, as its work directory has it.

    Attributes:
        work_dir (Path): The work directory.
        name (str): What the page calls the run.
        config (Config): The config that the run dumped.
        training (dict[int, dict]): Logged scalars, such as 'loss' and 'lr', by iteration.
        validation (dict[int, dict]): Logged metrics, such as 'mIoU', by iteration.
        class_ious (dict[str, float]): IoU of each class in the last validation that was logged.
        environment (dict[str, str]): Versions and device.
        checkpoint (Path | None): The last checkpoint.
        notes (list[str]): What was found damaged and left out.
    """

    work_dir: Path
    name: str
    config: Config
    training: dict[int, dict[str, Any]]
    validation: dict[int, dict[str, Any]]
    class_ious: dict[str, float]
    environment: dict[str, str]
    checkpoint: Path | None
    notes: list[str] = field(default_factory=list)

    @property
    def best(self) -> tuple[int, float] | None:
        """Iteration and mIoU of the best validation, None if there was none."""
        scores = [(step, m['mIoU']) for step, m in self.validation.items() if 'mIoU' in m]
        return max(scores, key=lambda score: score[1], default=None)


def read_run(folder: str) -> RunLog:
    """Reads a work directory.

    Args:
        folder (str): The work directory of a training run.

    Returns:
        RunLog: The run.

    Raises:
        UserMistake: If the folder does not exist, or holds no run that can be reported.
    """
    work_dir = Path(folder)
    if not work_dir.is_dir():
        raise UserMistake(f'the work directory {folder} does not exist')
    # Each start of a tool makes a folder that is named by its time.
    sessions = sorted(path.parent.parent for path in work_dir.glob('*/vis_data/scalars.json'))
    if not sessions:
        raise UserMistake(
            f'{folder} holds no run: there is no log */vis_data/scalars.json in it; give the work '
            'directory of segheads train, such as work_dirs/NAME_OF_CONFIG'
        )
    training: dict[int, dict[str, Any]] = {}
    validation: dict[int, dict[str, Any]] = {}
    notes = []
    for session in sessions:
        scalars = session / 'vis_data' / 'scalars.json'
        records, num_damaged = _read_records(scalars)
        if num_damaged:
            notes.append(f'{num_damaged} damaged lines of {scalars} are left out')
        if not records:
            continue
        # What a resumed or repeated run does again replaces what was there.
        start = min(record['step'] for record in records)
        for steps in (training, validation):
            for step in [step for step in steps if step >= start]:
                del steps[step]
        for record in records:
            is_training = any(name.startswith('loss') or name == 'lr' for name in record)
            (training if is_training else validation)[record['step']] = record
    if not training and not validation:
        raise UserMistake(f'{folder} holds no run: its logs are empty or damaged')
    log = '\n'.join(
        path.read_text(encoding='utf-8', errors='replace')
        for session in sessions
        for path in sorted(session.glob('*.log'))
    )
    return RunLog(
        work_dir=work_dir,
        name=work_dir.resolve().name,
        config=_read_config(sessions),
        training=training,
        validation=validation,
        class_ious=_read_class_ious(log),
        environment=_read_environment(log),
        checkpoint=_find_checkpoint(work_dir),
        notes=notes,
    )


def _read_records(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Reads lines of JSON; a process that was killed leaves half a line."""
    records, num_damaged = [], 0
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            record = None
        if isinstance(record, dict) and isinstance(record.get('step'), int):
            records.append(record)
        else:
            num_damaged += 1
    return records, num_damaged


def _read_config(sessions: Sequence[Path]) -> Config:
    """Reads the config of the newest session that has one.

    The one in the work directory itself may be that of a test, which overwrites it.
    """
    dumped = [session / 'vis_data' / 'config.py' for session in sessions]
    path = next((path for path in reversed(dumped) if path.is_file()), None)
    if path is None:
        raise UserMistake(
            f'{sessions[-1].parent} holds no config; there should be {dumped[-1]}, which '
            'segheads train wrote'
        )
    try:
        return Config.fromfile(path)
    except Exception as error:
        raise UserMistake(
            f'the config {path} is damaged: {" ".join(str(error).split())}'
        ) from error


def _read_class_ious(log: str) -> dict[str, float]:
    """Finds the last table of IoUMetric; only the text of the log has it."""
    _, found, table = log.rpartition('per class results:')
    rows = re.findall(r'^\|\s*(.+?)\s*\|\s*(nan|[\d.]+)\s*\|', table, re.MULTILINE)
    return {name: float(iou) for name, iou in rows} if found else {}


def _read_environment(log: str) -> dict[str, str]:
    environment = {}
    for name in ENVIRONMENT:
        found = re.findall(rf'^ *{name}: (.+)$', log, re.MULTILINE)
        if found:
            environment[name] = found[-1].strip()
    return environment


def _find_checkpoint(work_dir: Path) -> Path | None:
    note = work_dir / 'last_checkpoint'
    if note.is_file():
        # Only its name counts: the work directory may have been moved.
        checkpoint = work_dir / Path(note.read_text().strip()).name
        if checkpoint.is_file():
            return checkpoint
    return max(work_dir.glob('*.pth'), key=lambda path: path.stat().st_mtime, default=None)
