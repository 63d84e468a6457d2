"""A user's mistake is answered by one sentence, not by a traceback."""

import difflib
import errno
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

PACKAGE_ROOT = Path(__file__).resolve().parent
FULL_OR_READ_ONLY = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# PyTorch raises what a worker raised again, with all of its traceback as the text.
FROM_WORKER = re.compile(r'Caught \w+ in .+^[\w.]+: ([^\n]+)\s*\Z', re.DOTALL | re.MULTILINE)


class UserMistake(ValueError):
    """A mistake in a command, a config or the data; its text is the sentence for the user."""


def near_matches(name: str, candidates: Iterable[str]) -> str:
    """Says which candidates the user may have meant.

    Args:
        name (str): What the user wrote.
        candidates (Iterable[str]): What would have been possible.

    Returns:
        str: ``'; did you mean a or b?'``, or an empty string if nothing resembles ``name``.
    """
    candidates = set(candidates)
    found = sorted(each for each in candidates if each.lower() == name.lower())
    found = found or difflib.get_close_matches(name, candidates, n=3, cutoff=0.6)
    return f'; did you mean {" or ".join(found)}?' if found else ''


def sentence_for(error: Exception) -> str | None:
    """Finds the sentence in an error that a user's mistake caused.

    Besides :class:`UserMistake` these are errors that code of this package raises on purpose
    (heads check their arguments), types that a registry does not know, and a disk that is full or
    read-only. Any other error may be a defect of ours, and is worth its traceback.

    Args:
        error (Exception): The error that ended the tool.

    Returns:
        str | None: The sentence, or None if the error is not a user's mistake.
    """
    if isinstance(error, UserMistake):
        from_worker = FROM_WORKER.match(str(error))
        return from_worker[1] if from_worker else str(error)
    if isinstance(error, OSError) and error.errno in FULL_OR_READ_ONLY:
        return (
            f'{error.filename or "a file"} could not be written ({error.strerror}); make room or '
            'write elsewhere'
        )
    if isinstance(error, KeyError) and error.args:
        unknown_type = re.match(r'(\S+ is not in the \S+) registry', str(error.args[0]))
        if unknown_type:
            return (
                f'{unknown_type[1]} registry; correct its name, or list the module that '
                'registers it in custom_imports of the config'
            )
    if isinstance(error, (ValueError, TypeError, FileNotFoundError)) and error.__traceback__:
        origin = traceback.extract_tb(error.__traceback__)[-1]
        is_ours = Path(origin.filename).resolve().is_relative_to(PACKAGE_ROOT)
        if is_ours and (origin.line or '').startswith('raise '):
            return str(error)
    return None


def tell(message: str) -> None:
    """Says something that is no mistake, but that the user should know.

    It goes to MMEngine's log, and commands show it although they show little of that log.

    Args:
        message (str): A sentence.
    """
    from mmengine.logging import MMLogger

    MMLogger.get_current_instance().info(message, extra=dict(is_told=True))
