"""Fetch the pretrained encoders that the configs name into ckpt/.

Only Python and rich, which MMEngine brings, are needed. A download that breaks is continued by the
next call, and a file gets its name only when its SHA-256 begins as that name says.

Example:
    segheads download mit_b0 mscan_t
"""

import argparse
import sys
from pathlib import Path

HOST = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain'
WEIGHTS = {
    'mit_b0': f'{HOST}/segformer/mit_b0_20220624-7e0fe6dd.pth',
    'mit_b1': f'{HOST}/segformer/mit_b1_20220624-02e5a6a1.pth',
    'mit_b2': f'{HOST}/segformer/mit_b2_20220624-66e8bf70.pth',
    'mscan_t': f'{HOST}/segnext/mscan_t_20230227-119e8c9f.pth',
    'mscan_s': f'{HOST}/segnext/mscan_s_20230227-f33ccdf2.pth',
}
ROOT = Path(__file__).resolve().parents[2]
# Configs look for them below the working directory, which in a clone is its root.
DEFAULT_FOLDER = ROOT / 'ckpt' if (ROOT / 'local_configs').is_dir() else Path('ckpt')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    names = ', '.join(WEIGHTS)
    parser.add_argument('names', nargs='*', type=_known, metavar='NAME', help=f'of {names}')
    parser.add_argument('--all', action='store_true', help='fetch all of them')
    parser.add_argument('--list', action='store_true', help='list them and what is there')
    parser.add_argument(
        '--folder', type=Path, default=DEFAULT_FOLDER, help=f'default: {DEFAULT_FOLDER}'
    )


def run(options: argparse.Namespace) -> None:
    """Fetches what the command line names.

    Raises:
        SystemExit: With code 1 if a download failed, 130 if it was interrupted.
    """
    if options.list:
        for name, url in WEIGHTS.items():
            here = (options.folder / url.rpartition('/')[2]).is_file()
            print(f'{name:8} {"here   " if here else "missing"} {url}')
        return
    chosen = list(WEIGHTS) if options.all else options.names
    if not chosen:
        print(
            f'error: name what to fetch, of {", ".join(WEIGHTS)}, or give --all or --list',
            file=sys.stderr,
        )
        sys.exit(2)
    if code := fetch_all(chosen, options.folder):
        sys.exit(code)


def fetch_all(names: list[str], folder: Path) -> int:
    """Fetches encoders one after the other.

    Args:
        names (list[str]): Of ``WEIGHTS``.
        folder (Path): Where to put them.

    Returns:
        int: Exit code: 0 if all is there, 1 if a download failed, 130 if interrupted.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from segheads.transfer import DownloadError, fetch

    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn()) as progress:
        for name in names:
            task = progress.add_task(name, total=None)

            def report(present: int, total: int | None, task: int = task) -> None:
                progress.update(task, completed=present, total=total)

            try:
                is_new = fetch(WEIGHTS[name], folder, report)
            except (DownloadError, OSError) as error:
                progress.stop()
                print(f'error: {error}', file=sys.stderr)
                return 1
            except KeyboardInterrupt:
                progress.stop()
                print('interrupted; run the same command again to continue', file=sys.stderr)
                return 130
            file = folder / WEIGHTS[name].rpartition('/')[2]
            progress.console.print(f'{file} {"fetched" if is_new else "is there already"}')
    return 0


def _known(name: str) -> str:
    if name not in WEIGHTS:
        raise argparse.ArgumentTypeError(f'there is no {name}; choose from {", ".join(WEIGHTS)}')
    return name
