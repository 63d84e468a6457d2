"""The Hugging Face hub, played by a server on this machine, and the cache of its client."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from tiny_run import command

from segheads.checkpoints import CheckpointError, read_checkpoint
from segheads.transfer import DownloadError
from segheads.weights.hub import cached_from_hub, fetch_from_hub, hub_address

hub = pytest.importorskip('huggingface_hub')

COMMIT = 'a' * 40
FIRST, SECOND = save({'a': torch.ones(2)}), save({'b': torch.zeros(3)})
INDEX = json.dumps(dict(weight_map=dict(a='one.safetensors', b='two.safetensors'))).encode()
REPOSITORIES = {
    'owner/whole': {'model.safetensors': FIRST},
    'owner/old': {'pytorch_model.bin': b'not looked at'},
    'owner/parts': {
        'model.safetensors.index.json': INDEX,
        'one.safetensors': FIRST,
        'two.safetensors': SECOND,
    },
    'owner/torn': {'model.safetensors.index.json': INDEX, 'one.safetensors': FIRST},
    'owner/escape': {
        'model.safetensors.index.json': b'{"weight_map": {"a": "../../../evil.safetensors"}}'
    },
    'owner/empty': {'README.md': b'nothing'},
}


class Handler(BaseHTTPRequestHandler):
    """Answers as the hub does where its client asks for a file."""

    def answer(self, with_body: bool) -> None:
        self.server.tokens.append(self.headers.get('Authorization'))
        owner, name, _, _, file = self.path.lstrip('/').split('/', 4)
        files = REPOSITORIES.get(f'{owner}/{name}')
        content = files.get(file) if files else None
        if name == 'gated':
            self.send_response(403)
            self.send_header('X-Error-Code', 'GatedRepo')
        elif content is None:
            self.send_response(404)
            self.send_header('X-Error-Code', 'EntryNotFound' if files else 'RepoNotFound')
        else:
            self.send_response(200)
            self.send_header('ETag', f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header('X-Repo-Commit', COMMIT)
        self.send_header('Content-Length', str(len(content or b'')))
        self.end_headers()
        if with_body and content:
            self.server.sent.append(file)
            self.wfile.write(content)

    def do_HEAD(self) -> None:  # noqa: N802
        self.answer(with_body=False)

    def do_GET(self) -> None:  # noqa: N802
        self.answer(with_body=True)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A mirror of the hub, and an empty cache; the client has read its variables already."""
    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.sent, server.tokens = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
    thread.start()
    address = f'http://127.0.0.1:{server.server_port}'
    for variable in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(variable, raising=False)
    constants = hub.constants
    monkeypatch.setattr(constants, 'ENDPOINT', address)
    monkeypatch.setattr(
        constants,
        'HUGGINGFACE_CO_URL_TEMPLATE',
        address + '/{repo_id}/resolve/{revision}/{filename}',
    )
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
    monkeypatch.chdir(tmp_path)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetches_into_the_cache_once(server, capsys) -> None:
    address = hub_address('owner/whole')
    assert cached_from_hub(address) is None
    path = fetch_from_hub(address)
    assert path.read_bytes() == FIRST and 'cache' in path.parts
    assert fetch_from_hub(address) == path == cached_from_hub(address)
    assert server.sent == ['model.safetensors']
    command('download')(['owner/whole'])
    assert 'a config names it hf://owner/whole' in capsys.readouterr().out


def test_fetches_into_a_folder(server, tmp_path, capsys) -> None:
    command('download')(['owner/parts', '--folder', 'ckpt'])
    told = capsys.readouterr().out
    assert str(Path('ckpt/owner--parts/model.safetensors.index.json')) in told
    weights = read_checkpoint('ckpt/owner--parts')['state_dict']
    assert sorted(weights) == ['a', 'b']


def test_parts_are_fetched_and_read_as_one(server) -> None:
    weights = read_checkpoint(fetch_from_hub(hub_address('hf://owner/parts')))['state_dict']
    assert torch.equal(weights['a'], torch.ones(2)) and torch.equal(weights['b'], torch.zeros(3))
    assert server.sent == ['model.safetensors.index.json', 'one.safetensors', 'two.safetensors']


def test_an_address_in_a_config_is_read(server) -> None:
    from mmengine.runner import CheckpointLoader

    content = CheckpointLoader.load_checkpoint('hf://owner/whole', 'cpu', logger='silent')
    assert torch.equal(content['state_dict']['a'], torch.ones(2))
    for name in ('nobody/nothing', 'nonsense'):
        with pytest.raises(CheckpointError, match=name):
            CheckpointLoader.load_checkpoint(f'hf://{name}', 'cpu', logger='silent')


@pytest.mark.parametrize(
    'address, told',
    [
        ('nobody/nothing', 'does not exist on the hub, or is private'),
        ('owner/gated', 'only for those whom its owners admit'),
        ('owner/empty', 'has none of model.safetensors'),
        ('owner/whole/other.bin', 'correct the name of the file'),
        ('owner/torn', 'lists two.safetensors, and has no such file'),
        ('owner/escape', "names '../../../evil.safetensors', which is no file beside it"),
        ('owner', 'is no address on the Hugging Face hub'),
        ('owner/../../etc', 'is no address on the Hugging Face hub'),
    ],
)
def test_what_cannot_be_had_is_a_sentence(address, told, server, capsys) -> None:
    with pytest.raises(DownloadError, match='(?s)' + told.replace('.', r'\.')) as error:
        fetch_from_hub(hub_address(address))
    assert '\n' not in str(error.value)


def test_offline_is_told_and_what_is_cached_is_used(server, monkeypatch) -> None:
    path = fetch_from_hub(hub_address('owner/whole'))
    monkeypatch.setattr(hub.constants, 'HF_HUB_OFFLINE', True)
    assert fetch_from_hub(hub_address('owner/whole')) == path
    with pytest.raises(DownloadError, match='HF_HUB_OFFLINE'):
        fetch_from_hub(hub_address('owner/parts'))


def test_a_token_is_sent(server, monkeypatch) -> None:
    monkeypatch.setenv('HF_TOKEN', 'hf_secret')
    fetch_from_hub(hub_address('owner/old'))
    assert server.tokens[-1] == 'Bearer hf_secret'


def test_parts_in_the_cache_count_only_together(server) -> None:
    path = fetch_from_hub(hub_address('owner/parts'))
    (path.parent / 'two.safetensors').unlink()
    assert cached_from_hub(hub_address('owner/parts')) is None


def test_addresses() -> None:
    assert str(hub_address('a/b@v1/c/d.bin')) == 'hf://a/b@v1/c/d.bin'
    assert hub_address('timm/efficientformerv2_s1.snap_dist_in1k').file is None


@pytest.mark.parametrize(
    'index, told',
    [
        ('{', 'does not list the parts'),
        ('[]', 'does not list the parts'),
        ('{"weight_map": {"a": 3}}', 'does not list the parts'),
        ('{"weight_map": {}}', 'is empty'),
        ('{"weight_map": {"a": "/etc/passwd"}}', 'no file beside it'),
        ('{"weight_map": {"a": "missing.safetensors"}}', 'which is not beside it'),
        ('{"weight_map": {"a": "model.safetensors.index.json"}}', 'an index itself'),
    ],
)
def test_an_index_that_is_none_is_a_sentence(index, told, tmp_path) -> None:
    (tmp_path / 'model.safetensors.index.json').write_text(index)
    with pytest.raises(CheckpointError, match=told):
        read_checkpoint(tmp_path)


def test_a_folder_without_weights_is_a_sentence(tmp_path) -> None:
    with pytest.raises(CheckpointError, match='is a folder; name the checkpoint in it'):
        read_checkpoint(tmp_path)
