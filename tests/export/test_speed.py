"""Models and exported files side by side, each in a process of its own."""

import re
from pathlib import Path

import pytest
from exported_models import build_segmentor
from tiny_run import command, sentence, write_workspace

from segheads.export import speed
from segheads.export.deployed_model import DeployedModel
from segheads.export.file_formats import write

run_check_speed = command('check-speed')


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch) -> Path:
    """A folder with a config and an exported file."""
    monkeypatch.chdir(write_workspace(tmp_path))
    write(DeployedModel(build_segmentor()), 'torchscript', Path('a.torchscript'))
    return tmp_path


def test_times_models_beside_files(workspace: Path, capsys) -> None:
    run_check_speed(
        ['tiny.py', 'a.torchscript', '--size', '64x96', '--runs', '3', '--threads', '1']
    )
    printed = capsys.readouterr().out
    assert 'Images of 64x96 (height x width) by turns, median of 3' in printed
    rows = [re.split(r'\s*│\s*', line)[1:-1] for line in printed.splitlines() if '│' in line]
    assert [row[:3] for row in rows] == [
        ['tiny.py', 'torch, eager', '1'],
        ['a.torchscript', 'torch', '1'],
    ]
    for *_, milliseconds, per_second, first, memory in rows:
        assert float(milliseconds) * float(per_second) == pytest.approx(1000, rel=0.3)
        assert float(first) > 0 and float(memory) > 50


def test_runs_alternate() -> None:
    turns = []

    class Line:
        def __init__(self, name: str) -> None:
            self.name = name

        def write(self, _: str) -> None:
            turns.append(self.name)

        def flush(self) -> None:
            pass

        def readline(self) -> str:
            return '{"seconds": 0.5, "mebibytes": null}'

    class Process:
        def __init__(self, name: str) -> None:
            self.stdin = self.stdout = Line(name)

    timings = [speed.Timing(name, 'torch', 1, Process(name), None) for name in 'ab']
    speed.take_turns(timings, 2)
    assert turns == list('abab')
    assert timings[0].milliseconds == 500 and timings[0].mebibytes is None


def test_mistakes(workspace: Path) -> None:
    assert 'nix.onnx does not exist' in sentence(run_check_speed, ['nix.onnx'])
    told = sentence(run_check_speed, ['tiny.py=nix.pth', '--size', '64x64'])
    assert told == (
        'tiny.py=nix.pth cannot be timed in torch, eager: the checkpoint nix.pth does not exist'
    )
    Path('cut.torchscript').write_bytes(Path('a.torchscript').read_bytes()[:-2000])
    assert 'cut.torchscript is damaged' in sentence(run_check_speed, ['cut.torchscript'])


@pytest.mark.parametrize('size', ['512', '31x64', '64x', '64x64x3', '1e9x64', '99999x64'])
def test_sizes_are_refused_before_anything_is_loaded(size: str, capsys) -> None:
    with pytest.raises(SystemExit):
        run_check_speed(['a.onnx', '--size', size])
    assert 'argument --size: must be' in capsys.readouterr().err
