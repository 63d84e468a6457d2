"""Fetch the pretrained backbones that the configs name into ckpt/.

Only Python and rich, which MMEngine brings, are needed. A download that breaks is continued by the
next call, and a file gets its name only when its SHA-256 begins as that name says.

Example:
    python tools/download_weights.py mit_b0 mscan_t
"""

import argparse
import hashlib
import http.client
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

HOST = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain'
WEIGHTS = {
    'mit_b0': f'{HOST}/segformer/mit_b0_20220624-7e0fe6dd.pth',
    'mit_b1': f'{HOST}/segformer/mit_b1_20220624-02e5a6a1.pth',
    'mit_b2': f'{HOST}/segformer/mit_b2_20220624-66e8bf70.pth',
    'mscan_t': f'{HOST}/segnext/mscan_t_20230227-119e8c9f.pth',
    'mscan_s': f'{HOST}/segnext/mscan_s_20230227-f33ccdf2.pth',
}
DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / 'ckpt'
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


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help=f'of {", ".join(WEIGHTS)}')
    parser.add_argument('--all', action='store_true', help='fetch all of them')
    parser.add_argument('--list', action='store_true', help='list them and what is there')
    parser.add_argument('--folder', type=Path, default=DEFAULT_FOLDER, help='default: ckpt/')
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in WEIGHTS]
    if unknown:
        parser.error(f'there is no {", ".join(unknown)}; choose from {", ".join(WEIGHTS)}')
    if not (options.names or options.all or options.list):
        parser.error(f'name what to fetch, of {", ".join(WEIGHTS)}, or give --all or --list')
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetches what the command line names.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.

    Returns:
        int: Exit code: 0 if all is there, 1 if a download failed, 130 if interrupted.
    """
    options = parse_arguments(arguments)
    if options.list:
        for name, url in WEIGHTS.items():
            here = (options.folder / url.rpartition('/')[2]).is_file()
            print(f'{name:8} {"here   " if here else "missing"} {url}')
        return 0
    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn()) as progress:
        for name in WEIGHTS if options.all else options.names:
            task = progress.add_task(name, total=None)

            def report(present: int, total: int | None, task: int = task) -> None:
                progress.update(task, completed=present, total=total)

            try:
                is_new = fetch(WEIGHTS[name], options.folder, report)
            except (DownloadError, OSError) as error:
                progress.stop()
                print(f'error: {error}', file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                progress.stop()
                print('interrupted; run the same command again to continue', file=sys.stderr)
                return 130
            file = options.folder / WEIGHTS[name].rpartition('/')[2]
            progress.console.print(f'{file} {"fetched" if is_new else "is there already"}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
