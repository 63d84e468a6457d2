"""What a user gets by `pip install`, without a clone."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import segheads

ROOT = Path(__file__).resolve().parents[1]
SHIPPED_FOLDERS = {'local_configs': 'configs'}


@pytest.fixture(scope='module')
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what packaging reads, so that a build leaves nothing in the working tree."""
    tree = tmp_path_factory.mktemp('source')
    for name in ('segheads', *SHIPPED_FOLDERS):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns('__pycache__'))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, tree)
    return tree


@pytest.fixture(scope='module')
def wheel(source_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp('wheel')
    build = ['-m', 'pip', 'wheel', '.', '--no-deps', '--no-build-isolation', '--no-index']
    _run(*build, '--wheel-dir', str(folder), cwd=source_tree)
    (path,) = folder.glob('*.whl')
    return zipfile.ZipFile(path)


def _run(*arguments: str, cwd: Path, **environment: str) -> str:
    """Run this Python and return what it prints; show its errors in the test's report."""
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def _files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


@pytest.mark.parametrize('source, target', SHIPPED_FOLDERS.items())
def test_wheel_carries_the_whole_folder(wheel: zipfile.ZipFile, source: str, target: str) -> None:
    prefix = f'segheads/.mim/{target}/'
    shipped = {name[len(prefix) :] for name in wheel.namelist() if name.startswith(prefix)}
    assert shipped == _files(ROOT / source)
    assert shipped


def test_wheel_carries_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assert {name.split('/')[0] for name in names} == {
        'segheads',
        'segheads_command.py',
        'segheads_runtime.py',
        f'segheads-{segheads.__version__}.dist-info',
    }
    package = {name for name in names if name.startswith('segheads/') and '/.mim/' not in name}
    assert package == {f'segheads/{name}' for name in _files(ROOT / 'segheads')}
    assert not [name for name in names if '__pycache__' in name]


def test_metadata(wheel: zipfile.ZipFile) -> None:
    folder = f'segheads-{segheads.__version__}.dist-info'
    metadata = Parser().parsestr(wheel.read(f'{folder}/METADATA').decode())
    required = [line for line in metadata.get_all('Requires-Dist') if 'extra ==' not in line]
    assert metadata['Version'] == segheads.__version__
    assert not [line for line in required if line.startswith('mmcv')], (
        'a hard requirement on mmcv would overwrite the compiled mmcv of a user'
    )
    assert {'lite', 'full', 'test'} <= set(metadata.get_all('Provides-Extra'))
    # setuptools 77 moved licence files into a folder of their own.
    assert {f'{folder}/LICENSE', f'{folder}/licenses/LICENSE'} & set(wheel.namelist())


def test_configs_are_found_without_a_clone(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / 'site')
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    name = 'ccaseg/B0/ccaseg.b0.512x512.ade.160k.py'
    (elsewhere / 'mine.py').write_text(f"_base_ = ['segheads::{name}']\n")
    printed = _run(
        '-c',
        'import segheads\n'
        'from mmengine.config import Config\n'
        'from mmengine.hub import get_config\n'
        'print(segheads.__file__)\n'
        f'print(get_config("segheads::{name}").model.decode_head.type)\n'
        'print(Config.fromfile("mine.py").model.decode_head.type)\n'
        'print("ccaseg_b0_ade20k" in segheads.list_models())\n',
        cwd=elsewhere,
        PYTHONPATH=str(tmp_path / 'site'),
    ).splitlines()
    assert printed[-4:] == [
        str(tmp_path / 'site' / 'segheads' / '__init__.py'),
        'CCASegHead',
        'CCASegHead',
        'True',
    ]


def test_source_distribution_builds_the_same_package(source_tree: Path, tmp_path: Path) -> None:
    build = 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])'
    _run('-c', build, str(tmp_path), cwd=source_tree)
    (path,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(path) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    for folder in ('segheads', *SHIPPED_FOLDERS):
        assert {f'{folder}/{name}' for name in _files(ROOT / folder)} <= names
    assert {'LICENSE', 'constraints.txt', 'model-index.yml', 'pyproject.toml'} <= names


def test_constraints_lie_in_the_required_ranges() -> None:
    """Every pinned version must be one that a plain install accepts."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lines = (ROOT / 'constraints.txt').read_text().splitlines()
    pinned = [Requirement(line) for line in lines if line and not line.startswith('#')]
    versions = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pinned}
    ranges = [Requirement(line) for line in _requirements()]
    assert {canonicalize_name(requirement.name) for requirement in ranges} <= set(versions)
    for requirement in ranges:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def _requirements() -> list[str]:
    """Read install_requires and the extra [lite] from setup.py without building anything."""
    from distutils.core import run_setup

    distribution = run_setup(str(ROOT / 'setup.py'), stop_after='init')
    return [*distribution.install_requires, *distribution.extras_require['lite']]
