"""What needs no PyTorch is answered before PyTorch is imported."""

import subprocess
import sys

import pytest
from tiny_run import ROOT

from segheads import commands

# Run by -c, so that the process says what it has imported when it ends.
LAUNCH = """
import atexit, sys
sys.path.insert(0, {root!r})
slow = ('torch', 'mmengine', 'mmseg', 'numpy', 'cv2', 'PIL')
atexit.register(lambda: print('slow:', [name for name in slow if name in sys.modules]))
from segheads_command import main
main({arguments!r})
"""


def answer(*arguments: str) -> subprocess.CompletedProcess:
    code = LAUNCH.format(root=str(ROOT), arguments=list(arguments))
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)


@pytest.mark.parametrize(
    'arguments', [['--help'], ['--version'], *([c, '--help'] for c in commands.COMMANDS)]
)
def test_help_imports_nothing_slow(arguments: list[str]) -> None:
    done = answer(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == 'slow: []'
    if len(arguments) == 2:
        assert f'segheads {arguments[0]}' in done.stdout and 'Example:' in done.stdout


@pytest.mark.parametrize(
    'arguments, told',
    [
        ([], 'required: COMMAND'),
        (['trian'], "invalid choice: 'trian'"),
        (['train'], 'name a config'),
        (['train', 'a.py', '--cfg-options', 'resume'], "'resume' is not of the form KEY=VALUE"),
        (['test', 'a.py', 'b.pth', '--eval', 'mDice'], 'test_evaluator.iou_metrics'),
        (['predict', 'a.py', 'b.pth', 'c.png', '--opacity', '2'], 'number from 0 to 1'),
        (['download', 'mit_b9'], 'there is no mit_b9; choose from mit_b0'),
    ],
)
def test_mistaken_arguments_import_nothing_slow(arguments: list[str], told: str) -> None:
    done = answer(*arguments)
    assert done.returncode == 2 and told in done.stderr
    assert done.stdout.splitlines()[-1] == 'slow: []'


def test_export_offers_the_formats_that_there_are() -> None:
    from segheads.commands.export import FORMATS
    from segheads.export.file_formats import FILE_FORMATS

    assert tuple(FILE_FORMATS) == FORMATS
