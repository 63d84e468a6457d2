"""Files that are complete or not there, whatever ends the process that writes them."""

import os
import re
import socket
import time
from contextlib import suppress
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

BACKEND = 'atomic'
UNFINISHED = '.unfinished'
SECONDS_OF_A_DAY = 24 * 60 * 60


def write_atomically(content: bytes, path: str | Path) -> None:
    """Writes a file so that at every instant there is the old content or the new, and no part.

    The content goes to a hidden file in the same folder, reaches the disk, and is then renamed.

    Args:
        content (bytes): The content of the file.
        path (str | Path): The file. Its folder is made if it is missing.

    Raises:
        OSError: If the disk is full or the folder cannot be written; the file is as it was.
    """
    path = Path(path)
    # With machine and process: two runs in one folder must not write into each other's file.
    unfinished = path.with_name(f'.{path.name}.{_machine()}-{os.getpid()}{UNFINISHED}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open('wb') as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    _sync_folder(path.parent)


def remove_unfinished(folder: str | Path) -> None:
    """Removes what processes have left that were killed while they wrote a file.

    What a process of this machine that lives may be writing stays, and so does what is younger than
    a day of another machine, whose processes are not known here.

    Args:
        folder (str | Path): The folder of the files.
    """
    for unfinished in Path(folder).glob(f'.*{UNFINISHED}'):
        machine, _, process = unfinished.name[: -len(UNFINISHED)].rpartition('.')[2].rpartition('-')
        with suppress(OSError):
            # Earlier versions did not note the machine.
            if machine in ('', _machine()) and process.isdecimal():
                is_left = not _is_alive(int(process))
            else:
                is_left = time.time() - unfinished.stat().st_mtime > SECONDS_OF_A_DAY
            if is_left:
                unfinished.unlink(missing_ok=True)


def _machine() -> str:
    return re.sub(r'[^A-Za-z0-9_-]', '_', socket.gethostname())


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _sync_folder(folder: Path) -> None:
    """Brings a renaming to the disk, on systems that open folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@register_backend(BACKEND)
class AtomicBackend(LocalBackend):
    """MMEngine's backend for local files, with :func:`write_atomically` for writing."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Writes bytes.

        Args:
            obj (bytes): The content of the file.
            filepath (str | Path): The file.
        """
        write_atomically(obj, filepath)
