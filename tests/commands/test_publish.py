"""A published checkpoint holds what others need, under a name that can be checked."""

import hashlib
from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer
from tiny_run import command, sentence

from segheads.checkpoints import read_checkpoint

run_publish = command('publish')
CLASSES = dict(classes=('road', 'sky'), palette=[[1, 2, 3], [4, 5, 6]])


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    model = torch.nn.Linear(20, 20)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 20)).sum().backward()
    optimizer.step()
    content = dict(
        state_dict=model.state_dict(),
        meta=dict(iter=2, dataset_meta=CLASSES),
        optimizer=optimizer.state_dict(),
        param_schedulers=[dict(last_step=2)],
        message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1]))),
    )
    torch.save(content, tmp_path / 'iter_2.pth')
    return tmp_path / 'iter_2.pth'


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_only_weights_and_notes_are_published(
    suffix: str, trained: Path, capsys: pytest.CaptureFixture
) -> None:
    run_publish([str(trained), str(trained.with_name(f'road{suffix}'))])
    path = Path(capsys.readouterr().out.strip())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.name == f'road-{digest[:8]}{suffix}'
    assert sorted(trained.parent.iterdir()) == sorted([trained, path])
    assert path.stat().st_size < trained.stat().st_size / 2

    published, source = read_checkpoint(path), read_checkpoint(trained)
    assert set(published) == {'meta', 'state_dict'}
    torch.testing.assert_close(
        dict(published['state_dict']), dict(source['state_dict']), rtol=0, atol=0
    )
    classes = published['meta']['dataset_meta']
    assert (tuple(classes['classes']), classes['palette']) == tuple(CLASSES.values())


def test_half_of_the_file(trained, capsys):
    run_publish([str(trained), str(trained.with_name('road.safetensors')), '--half'])
    weights = read_checkpoint(capsys.readouterr().out.strip())['state_dict']
    assert {name: value.dtype for name, value in weights.items()} == {
        'weight': torch.float16,
        'bias': torch.float32,  # vectors may hold the variances of norms
    }
    torch.save(dict(state_dict=dict(weight=torch.full((2, 2), 1e5))), trained)
    told = sentence(run_publish, [str(trained), str(trained.with_name('w.pth')), '--half'])
    assert 'weight holds 1e+05, and 16 bits hold at most 65504' in told
    assert not trained.with_name('w.pth').exists()


def test_a_file_without_weights_is_not_published(tmp_path: Path) -> None:
    torch.save(dict(optimizer=dict(lr=0.1)), tmp_path / 'empty.pth')
    command = [str(tmp_path / 'empty.pth'), str(tmp_path / 'out.pth')]
    assert 'holds no weights by name' in sentence(run_publish, command)


def test_both_formats_have_the_permissions_of_new_files(trained):
    for suffix in ('.pth', '.safetensors'):
        run_publish([str(trained), str(trained.with_name(f'road{suffix}'))])
    new = trained.with_name('new')
    new.touch()
    files = [new, *trained.parent.glob('road-*')]
    assert len(files) == 3 and len({file.stat().st_mode for file in files}) == 1
