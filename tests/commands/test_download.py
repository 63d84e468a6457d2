"""The downloader, against a server on this machine that misbehaves as real ones do."""

import hashlib
import importlib.util
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from segheads.configs.preflight import DOWNLOADABLE

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(range(256)) * 4096
NAME = f'mit_b0_20220624-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth'


def load_tool():
    spec = importlib.util.spec_from_file_location(
        'download_weights', ROOT / 'tools' / 'download_weights.py'
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


class Handler(BaseHTTPRequestHandler):
    """Serves ``server.content``; ``server.breaks_after`` bytes it closes the connection."""

    def do_GET(self):  # noqa: N802
        server = self.server
        wanted = self.headers.get('Range')
        server.ranges.append(wanted)
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
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def tool(server, monkeypatch):
    for variable in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(variable, raising=False)
    tool = load_tool()
    url = f'http://127.0.0.1:{server.server_port}/segformer/{NAME}'
    monkeypatch.setattr(tool, 'WEIGHTS', {'mit_b0': url})
    return tool


def test_fetches_under_the_final_name(tool, tmp_path, capsys):
    assert tool.main(['mit_b0', '--folder', str(tmp_path / 'ckpt')]) == 0
    assert (tmp_path / 'ckpt' / NAME).read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / 'ckpt').iterdir()] == [NAME]
    assert 'fetched' in capsys.readouterr().out


def test_does_not_fetch_what_is_there(tool, server, tmp_path, capsys):
    (tmp_path / NAME).write_bytes(CONTENT)
    assert tool.main(['--all', '--folder', str(tmp_path)]) == 0
    assert server.ranges == []
    assert 'is there already' in capsys.readouterr().out


def test_replaces_a_damaged_file(tool, tmp_path):
    (tmp_path / NAME).write_bytes(b'damaged')
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_broken_download_is_kept_and_continued(tool, server, tmp_path, capsys):
    server.breaks_after = 300_000
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 1
    assert 'broke off after 300,000 of 1,048,576 bytes' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [f'{NAME}.part']

    server.breaks_after = None
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert server.ranges == [None, 'bytes=300000-']
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_continues_from_the_start_where_the_server_cannot_resume(tool, server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(CONTENT[:1000])
    server.supports_ranges = False
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_complete_part_is_accepted(tool, server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(CONTENT)
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert server.ranges == [f'bytes={len(CONTENT)}-']
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_wrong_beginning_is_fetched_again(tool, server, tmp_path):
    (tmp_path / f'{NAME}.part').write_bytes(b'another file')
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 0
    assert server.ranges == ['bytes=12-', None]
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_a_wrong_hash_leaves_nothing(tool, server, tmp_path, capsys):
    server.content = b'<html>please log in</html>'
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 1
    assert 'its SHA-256 does not begin with' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_says_what_the_server_answered(tool, server, tmp_path, capsys):
    server.status = 404
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 1
    assert 'the server answered 404' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_says_that_there_is_no_network(tool, monkeypatch, tmp_path, capsys):
    url = f'http://name.invalid/{NAME}'
    monkeypatch.setattr(tool, 'WEIGHTS', {'mit_b0': url})
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: no connection to') and error.count('\n') == 1
    assert f'copy it to {tmp_path / NAME}' in error


def test_an_interruption_keeps_the_part(tool, monkeypatch, tmp_path, capsys):
    def interrupt(*arguments, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(tool.Progress, 'update', interrupt)
    assert tool.main(['mit_b0', '--folder', str(tmp_path)]) == 130
    assert [path.name for path in tmp_path.iterdir()] == [f'{NAME}.part']
    assert 'interrupted' in capsys.readouterr().err


def test_lists_what_there_is(tool, tmp_path, capsys):
    (tmp_path / NAME).write_bytes(CONTENT)
    assert tool.main(['--list', '--folder', str(tmp_path)]) == 0
    assert capsys.readouterr().out.split()[:2] == ['mit_b0', 'here']


@pytest.mark.parametrize('arguments', [[], ['mit_b7']])
def test_names_the_choices(tool, arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        tool.main(arguments)
    assert exit_.value.code == 2
    assert 'mit_b0' in capsys.readouterr().err


def test_table_readme_and_preflight_agree():
    readme = (ROOT / 'ckpt' / 'README.md').read_text()
    for name, url in load_tool().WEIGHTS.items():
        file = url.rpartition('/')[2]
        assert DOWNLOADABLE.fullmatch(file)[1] == name
        assert f'| `{name}` | `{file}` |' in readme
