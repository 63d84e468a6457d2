"""From which checkpoint an interrupted run continues."""

import re
import zipfile
import zlib
from pathlib import Path

from segheads.mistakes import UserMistake, tell
from segheads.ranks import local_rank

from .saving import LAST_CHECKPOINT

NAME = re.compile(r'(?P<before>.*?)(?P<step>\d+)(?P<after>\D*)')


def latest_checkpoint(work_dir: str) -> str | None:
    """Finds what ``--resume`` continues from.

    That is the checkpoint that ``last_checkpoint`` names. If it is damaged or missing, it is the
    newest sound one of those before it, and a line of the log says so.

    Args:
        work_dir (str): The work directory of the run.

    Returns:
        str | None: A sound checkpoint, or None if nothing was saved.

    Raises:
        UserMistake: If something was saved, but no checkpoint is sound.
    """
    note = Path(work_dir) / LAST_CHECKPOINT
    named = note.read_text(errors='replace').strip() if note.is_file() else ''
    fault = damage(Path(named)) if named else None
    if named and fault is None:
        return named
    reason = f'{note} names {named}, which {fault}' if named else f'{note} names no checkpoint'
    for candidate in _earlier_checkpoints(named, work_dir):
        if damage(candidate) is None:
            if local_rank() == 0:
                tell(f'--resume: {reason}; continuing from {candidate}, the newest sound one.')
            return str(candidate)
    if not note.is_file():
        return None
    raise UserMistake(
        f'--resume: {reason}, and no earlier checkpoint is sound; write the checkpoint to resume '
        'into it, resume with `--cfg-options load_from=CHECKPOINT`, or start again without --resume'
    )


def damage(path: Path) -> str | None:
    """Compares a checkpoint with the checksums in it, which PyTorch does not do when it loads one.

    All of the file is read, and nothing in it is executed.

    Args:
        path (Path): The checkpoint.

    Returns:
        str | None: What is wrong with it, to follow 'which', or None if it is sound.
    """
    if not path.is_file():
        return 'does not exist'
    if path.stat().st_size == 0:
        return 'is empty'
    try:
        with zipfile.ZipFile(path) as archive:
            intact = archive.testzip() is None
    # What zipfile raises depends on where the damage is.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError):
        intact = False
    return None if intact else 'is damaged'


def _earlier_checkpoints(named: str, work_dir: str) -> list[Path]:
    """Lists the checkpoints before a damaged one, the newest first.

    Later ones belong to another run in the same folder. The folder of the damaged one need not be
    the work directory, and need not exist if the work directory has been moved.
    """
    last = NAME.fullmatch(Path(named).name)
    found = {}
    for folder in {Path(work_dir), Path(named).parent if named else Path(work_dir)}:
        for file in folder.glob('*.pth'):
            match = NAME.fullmatch(file.name)
            if match is None or file == Path(named):
                continue
            if last is None:
                belongs = match['before'] in ('iter_', 'epoch_')
            else:
                same_series = (match['before'], match['after']) == (last['before'], last['after'])
                belongs = same_series and int(match['step']) <= int(last['step'])
            if belongs:
                found[file] = int(match['step'])
    return sorted(found, key=found.get, reverse=True)
