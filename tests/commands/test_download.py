"""The downloader, against a server on this machine that misbehaves as real ones do."""

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.progress import Progress
from tiny_run import command

from segheads.commands import download
from segheads.transfer import promised_hash
from segheads.weights.sources import OPENMMLAB, WEIGHTS, Weights, name_of

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 4096
NAME = f'mit_b0_20220624-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth'


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.content``; ``server.breaks_after`` bytes it closes the connection."""

    def do_GET(self):  # noqa: N802
        server = self.server
        wanted = self.headers.get('Range')
        server.ranges.append(wanted)
        server.paths.append(self.path)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = 0
        if wanted and server.supports_ranges:
            start = int(wanted.removeprefix('bytes=').removesuffix('-'))
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.breaks_after])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.content = CONTENT
    server.status = 200
    server.supports_ranges = True
    server.breaks_after = None
    server.ranges = []
    server.paths = []
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run_download(server, monkeypatch):
    """Runs the command; returns its exit code."""
    for variable in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(variable, raising=False)
    url = f'http://127.0.0.1:{server.server_port}/segformer/{NAME}'
    monkeypatch.setattr(download, 'WEIGHTS', {'mit_b0': Weights(NAME, url=url)})

    def run(arguments):
        try:
            command('download')(arguments)
        except SystemExit as exit_:
            return exit_.code
        return 0

    return run


def test_fetches_under_the_final_name(run_download, tmp_path, capsys):
    assert run_download(['mit_b0', '--folder', str(tmp_path / 'ckpt')]) == 0
    assert (tmp_path / 'ckpt' / NAME).read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / 'ckpt').iterdir()] == [NAME]
    assert 'fetched' in capsys.readouterr().out


def test_does_not_fetch_what_is_there(run_download, server, tmp_path, capsys):
    (tmp_path / NAME).write_bytes(CONTENT)
    assert run_download(['--all', '--folder', str(tmp_path)]) == 0
    assert server.ranges == []
    assert 'is there already' in capsys.readouterr().out


def test_replaces_a_damaged_file(run_download, tmp_path):
    (tmp_path / NAME).write_bytes(b'damaged')
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_broken_download_is_kept_and_continued(run_download, server, tmp_path, capsys):
    server.breaks_after = 300_000
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 1
    assert 'broke off after 300,000 of 1,048,576 bytes' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [f'{NAME}.part']

    server.breaks_after = None
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert server.ranges == [None, 'bytes=300000-']
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_continues_from_the_start_where_the_server_cannot_resume(run_download, server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(CONTENT[:1000])
    server.supports_ranges = False
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_complete_part_is_accepted(run_download, server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(CONTENT)
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert server.ranges == [f'bytes={len(CONTENT)}-']
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_wrong_beginning_is_fetched_again(run_download, server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(b'another file')
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert server.ranges == ['bytes=12-', None]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(run_download, server, tmp_path, capsys):
    server.content = b'<html>please log in</html>'
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 1
    assert 'its SHA-256 does not begin with' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_says_what_the_server_answered(run_download, server, tmp_path, capsys):
    server.status = 404
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 1
    assert 'the server answered 404' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_says_that_there_is_no_network(run_download, monkeypatch, tmp_path, capsys):
    url = f'http://name.invalid/{NAME}'
    monkeypatch.setattr(download, 'WEIGHTS', {'mit_b0': Weights(NAME, url=url)})
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: no connection to') and error.count('\n') == 1
    assert f'copy it to {tmp_path / NAME}' in error


def test_an_interruption_keeps_the_part(run_download, monkeypatch, tmp_path, capsys):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, 'update', interrupt)
    assert run_download(['mit_b0', '--folder', str(tmp_path)]) == 130
    assert [path.name for path in tmp_path.iterdir()] == [f'{NAME}.part']
    assert 'interrupted' in capsys.readouterr().err


def test_lists_what_there_is(run_download, tmp_path, capsys):
    (tmp_path / NAME).write_bytes(CONTENT)
    assert run_download(['--list', '--folder', str(tmp_path)]) == 0
    assert capsys.readouterr().out.split()[:2] == ['mit_b0', 'here']


@pytest.mark.parametrize('arguments', [[], ['mit_b7']])
def test_names_the_choices(run_download, arguments, capsys):
    assert run_download(arguments) == 2
    assert 'mit_b0' in capsys.readouterr().err


def test_a_mirror_serves_the_same_paths(run_download, server, monkeypatch, tmp_path):
    weights = Weights(NAME, url=f'{OPENMMLAB}/segformer/{NAME}')
    monkeypatch.setattr(download, 'WEIGHTS', {'mit_b0': weights})
    mirror = f'http://127.0.0.1:{server.server_port}/below/'
    assert run_download(['mit_b0', '--folder', str(tmp_path), '--mirror', mirror]) == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.paths == [f'/below/segformer/{NAME}']
    assert run_download(['mit_b0', '--mirror', 'mirror.example.org']) == 2


def test_what_has_no_server_says_where_it_is_and_where_to_put_it(monkeypatch, tmp_path, capsys):
    run = command('download')
    for name, told in {
        'eformer_s1': f'put the file at {tmp_path / "eformer_s1_450.pth"}',
        'ccaseg': 'https://drive.google.com/drive/folders/1hKgzJ0vhjhPcG5TRG0dkA5YpD8N8qyPp',
    }.items():
        with pytest.raises(SystemExit, match='1'):
            run([name, '--folder', str(tmp_path)])
        assert told in capsys.readouterr().err
    (tmp_path / 'eformer_s1_450.pth').write_bytes(b'')
    run(['eformer_s1', '--folder', str(tmp_path)])
    assert 'is there already' in capsys.readouterr().out


def test_table_readme_and_configs_agree():
    readme = (ROOT / 'ckpt' / 'README.md').read_text()
    for name, weights in WEIGHTS.items():
        if weights.file:
            assert f'| `{name}` | `{weights.file}` |' in readme
            assert name_of(f'anywhere/{weights.file}') == name
        if weights.url:
            assert weights.url.endswith(f'/{weights.file}') and promised_hash(weights.file)
        assert weights.url or weights.package or weights.page
    named = set()
    for config in (ROOT / 'local_configs' / '_base_' / 'models').glob('*.py'):
        named |= set(re.findall(r"checkpoint='(.+?)'", config.read_text()))
    assert len(named) > 10
    assert all(name_of(path) for path in named)
    assert name_of('open-mmlab://resnet18_v1c') is None
