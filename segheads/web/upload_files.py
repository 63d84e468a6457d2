"""Uploads as files that exist in memory only."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mmengine.fileio import BaseStorageBackend, register_backend

_uploads: dict[str, bytes] = {}


class UploadBackend(BaseStorageBackend):
    """Answers ``upload://`` addresses, so that any loading transform reads an upload."""

    def get(self, filepath: str | Path) -> bytes:
        """Returns an upload that is held."""
        return _uploads[str(filepath)]

    def get_text(self, filepath: str | Path, encoding: str = 'utf-8') -> str:
        """Uploads are pictures."""
        raise NotImplementedError(f'{filepath} is a picture, not text.')


@contextmanager
def held(content: bytes) -> Iterator[str]:
    """Gives an upload an address for a while.

    Args:
        content (bytes): The upload.

    Yields:
        str: The address, which MMEngine's file functions read.
    """
    address = f'upload://{uuid4().hex}'
    _uploads[address] = content
    try:
        yield address
    finally:
        del _uploads[address]


register_backend('upload', UploadBackend, prefixes='upload', force=True)
