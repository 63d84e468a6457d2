from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from tiny_run import command, sentence, write_workspace

from segheads.commands import run_and_exit
from segheads.export import exporting
from segheads.export.comparison import Difference

run_export = command('export')


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch) -> Path:
    """A folder with a config, whose norms are synchronised, and a checkpoint."""
    monkeypatch.chdir(tmp_path)
    write_workspace(tmp_path)
    model_cfg = Config.fromfile('tiny.py').model
    model_cfg.backbone.init_cfg = None
    init_default_scope('mmseg')
    torch.save(dict(state_dict=MODELS.build(model_cfg).state_dict()), 'last.pth')
    return tmp_path


def test_exports_and_compares(workspace: Path, capsys) -> None:
    run_export(['tiny.py', 'last.pth', '--format', 'torchscript', '--with-preprocessing'])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(' ')[0] for line in lines if 'largest difference' in line] == [
        '1x32x33',
        '1x65x97',
        '3x96x160',
        '2x129x101',
        '1x257x190',
        '1x512x512',
    ]
    assert lines[-1].startswith('last.torchscript: ')
    assert not list(workspace.glob('.export-*'))
    image = torch.randint(0, 256, (1, 3, 70, 90), dtype=torch.uint8)
    assert torch.jit.load('last.torchscript')(image).shape == (1, 3, 70, 90)


def test_keeps_no_file_that_differs(workspace: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        exporting, 'compare', lambda model, exported: iter([Difference((1, 65, 97), 0.5, 2.0, 7)])
    )
    Path('old.torchscript').write_text('what was there before')
    arguments = ['tiny.py', 'last.pth', '--format', 'torchscript', '--out', 'old.torchscript']
    with pytest.raises(SystemExit) as end:
        run_and_exit(lambda: run_export(arguments))
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert 'the exported file does not compute what the model does (in torch, 1x65x97' in error
    assert 'and was deleted' in error
    assert Path('old.torchscript').read_text() == 'what was there before'
    assert {path.name for path in workspace.iterdir()} == {
        'tiny.py',
        'data',
        'last.pth',
        'old.torchscript',
    }


def test_explains_mistakes(workspace: Path) -> None:
    def mistake(*arguments: str) -> str:
        return sentence(run_export, ['tiny.py', *arguments, '--format', 'torchscript'])

    assert 'the checkpoint first.pth does not exist' in mistake('first.pth')
    assert '--out: the folder nowhere does not exist' in mistake('last.pth', '--out', 'nowhere/x')
    other = ['--cfg-options', 'model.decode_head.num_classes=4']
    assert 'the checkpoint has 3 classes, the config 4' in mistake('last.pth', *other)
