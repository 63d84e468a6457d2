"""Files from a server, complete and as promised or not there."""

import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30


class DownloadError(Exception):
    """Something between here and the server went wrong; the text is a sentence for the user."""


def fetch(url: str, folder: Path, report: Callable[[int, int | None], None]) -> bool:
    """Downloads a file unless it is there already.

    Args:
        url (str): Address of a file whose name ends in 8 hexadecimal digits of its SHA-256.
        folder (Path): Where to put it.
        report (Callable): Called with the bytes so far and the bytes in all, None if unknown.

    Returns:
        bool: Whether anything was downloaded.

    Raises:
        DownloadError: If the server cannot be reached, does not have the file, breaks off (what
            came is kept for the next call), or sends something else than the name promises.
    """
    target = folder / url.rpartition('/')[2]
    if target.is_file() and has_promised_hash(target, target.name):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + '.part')
    resumed = part.is_file()
    _receive(url, part, report)
    if not has_promised_hash(part, target.name) and resumed:
        # The beginning may be from a damaged or another file: the whole decides.
        part.unlink()
        _receive(url, part, report)
    if not has_promised_hash(part, target.name):
        part.unlink()
        raise DownloadError(
            f'what {url} sent is not {target.name}: its SHA-256 does not begin with '
            f'{promised_hash(target.name)}, so it was deleted; try again, and if that does not '
            'help, a proxy may be answering in place of the server'
        )
    os.replace(part, target)
    return True


def promised_hash(name: str) -> str:
    """Returns the first 8 hexadecimal digits of the SHA-256 that a file name carries."""
    return re.search(r'-([0-9a-f]{8})\.pth$', name)[1]


def has_promised_hash(path: Path, name: str) -> bool:
    """Returns whether a file's SHA-256 begins as a file name says."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest().startswith(promised_hash(name))


def _receive(url: str, part: Path, report: Callable[[int, int | None], None]) -> None:
    """Downloads into a file that may have the beginning already."""
    present = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={'User-Agent': 'segheads'})
    if present:
        request.add_header('Range', f'bytes={present}-')
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # Nothing comes after what is present: the hash decides.
            return
        raise DownloadError(f'the server answered {error.code} {error.reason} for {url}') from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, 'reason', error)
        raise DownloadError(
            f'no connection to {url} ({reason}); check the network and proxy of this machine, or '
            f'download the file elsewhere and copy it to {part.with_suffix("")}'
        ) from error
    with response:
        if response.status != 206:  # The server does not resume, and sends all of it.
            present = 0
        length = response.headers.get('Content-Length')
        total = present + int(length) if length else None
        try:
            with part.open('ab' if present else 'wb') as file:
                while chunk := response.read(CHUNK_BYTES):
                    file.write(chunk)
                    present += len(chunk)
                    report(present, total)
        except (http.client.HTTPException, OSError) as error:
            raise _broken_off(url, present, total, str(error)) from error
    if total is not None and present < total:
        raise _broken_off(url, present, total, 'the server closed the connection')


def _broken_off(url: str, present: int, total: int | None, reason: str) -> DownloadError:
    of_total = f' of {total:,}' if total else ''
    return DownloadError(
        f'the download of {url} broke off after {present:,}{of_total} bytes ({reason}); run the '
        'same command again to continue'
    )
