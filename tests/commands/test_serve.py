"""The command: models from the command line, and a port to serve them on."""

import os
import socket
import sys
from pathlib import Path

import pytest
import torch
from tiny_run import command, sentence, write_workspace

import segheads

run_serve = command('serve')


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(write_workspace(tmp_path))
    with pytest.warns(UserWarning, match='random'):
        model = segheads.load('tiny.py', device='cpu')
    torch.save(dict(state_dict=model.state_dict()), 'tiny.pth')


def test_the_demo_that_was_trained_is_the_default(tmp_path, monkeypatch):
    serving = pytest.importorskip('segheads.web.serving')
    monkeypatch.chdir(tmp_path)
    assert serving.demo() == 'cgrseg_r10t_scenes'
    Path('work_dirs/demo').mkdir(parents=True)
    for age, name in enumerate(['iter_400.pth', 'iter_50.pth']):
        Path('work_dirs/demo', name).touch()
        os.utime(Path('work_dirs/demo', name), (1000 - age, 1000 - age))
    assert serving.demo() == f'ccaseg_b0_synthetic_demo={Path("work_dirs/demo/iter_400.pth")}'


@pytest.mark.filterwarnings('ignore:no checkpoint was given')
def test_labels_tell_models_apart(workspace):
    serving = pytest.importorskip('segheads.web.serving')
    models = serving.load_models(['tiny.py=tiny.pth', 'tiny.py'], 'cpu')
    assert [model.label for model in models] == ['tiny (tiny.pth)', 'tiny (random weights)']
    assert [model.checkpoint for model in models] == ['tiny.pth', None]
    (alone,) = serving.load_models(['./tiny.py=tiny.pth'], 'cpu')
    assert alone.label == 'tiny'


def test_it_serves_on_loopback(workspace, monkeypatch, capsys):
    pytest.importorskip('fastapi')
    uvicorn = pytest.importorskip('uvicorn')
    served = []

    def run(server, sockets):
        served.append((server.config.app, sockets[0].getsockname()))
        sockets[0].close()
        raise KeyboardInterrupt

    monkeypatch.setattr(uvicorn.Server, 'run', run)
    run_serve(['tiny.py=tiny.pth', '--port', '0', '--device', 'cpu'])
    ((_, (host, port)),) = served
    assert host == '127.0.0.1' and f'Open http://127.0.0.1:{port} ' in capsys.readouterr().out


def test_mistakes(workspace, monkeypatch):
    pytest.importorskip('fastapi')
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        assert 'choose another --port' in sentence(run_serve, ['--port', str(port)])
    assert 'nowhere.pth does not exist' in sentence(
        run_serve, ['tiny.py=nowhere.pth', '--port', '0']
    )
    monkeypatch.delitem(sys.modules, 'segheads.web.serving')
    monkeypatch.setitem(sys.modules, 'uvicorn', None)
    assert 'segheads[web]' in sentence(run_serve, [])
