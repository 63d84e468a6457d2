"""Files that exist in memory only, under an address that any loading transform reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mmengine.fileio import BaseStorageBackend, register_backend

_held: dict[str, bytes] = {}


class HeldFileBackend(BaseStorageBackend):
    """Answers ``held://`` addresses of MMEngine's file functions."""

    def get(self, filepath: str | Path) -> bytes:
        """Returns a file that is held."""
        return _held[str(filepath)]

    def get_text(self, filepath: str | Path, encoding: str = 'utf-8') -> str:
        """They are pictures."""
        raise NotImplementedError(f'{filepath} is a picture, not text.')


@contextmanager
def held(content: bytes) -> Iterator[str]:
    """Gives the content of a file an address for a while.

    Args:
        content (bytes): The content.

    Yields:
        str: The address, which MMEngine's file functions read.
    """
    address = f'held://{uuid4().hex}'
    _held[address] = content
    try:
        yield address
    finally:
        del _held[address]


register_backend('held', HeldFileBackend, prefixes='held', force=True)
