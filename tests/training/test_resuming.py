"""`--resume` after whatever may have happened to the last checkpoint."""

import zipfile
from pathlib import Path

import pytest
import torch
from tiny_run import FROM_SCRATCH, command, sentence

from segheads.training import resuming
from segheads.training.resuming import damage, latest_checkpoint


@pytest.fixture
def work_dir(tmp_path):
    """A work directory with the checkpoints of iterations 2, 4 and 10, the last one named."""
    for step in (2, 4, 10):
        torch.save(dict(weight=torch.full((1000,), step)), tmp_path / f'iter_{step}.pth')
    torch.save(dict(weight=torch.ones(1000)), tmp_path / 'best_mIoU_iter_8.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_10.pth'))
    return tmp_path


@pytest.fixture
def warnings(monkeypatch):
    """What the user is told."""
    lines = []
    monkeypatch.setattr(resuming, 'tell', lines.append)
    return lines


def truncate(path):
    path.write_bytes(path.read_bytes()[:-300])


def truncate_to_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b'')


def fill_with_zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def flip_a_bit_of_a_weight(path):
    """PyTorch loads such a file without an error."""
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        weight = archive.getinfo(f'{path.stem}/data/0')
    content[weight.header_offset + 2000] ^= 1
    path.write_bytes(content)
    torch.load(path)


def break_the_directory(path):
    content = bytearray(path.read_bytes())
    start = content.index(b'PK\x01\x02')
    content[start : start + 40] = b'?' * 40
    path.write_bytes(content)


def replace_by_a_page(path):
    path.write_text('<html>404 Not Found</html>')


def delete(path):
    path.unlink()


@pytest.mark.parametrize(
    'spoil',
    [
        truncate,
        truncate_to_half,
        empty,
        fill_with_zeros,
        flip_a_bit_of_a_weight,
        break_the_directory,
        replace_by_a_page,
        delete,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_a_damaged_last_checkpoint_is_skipped(work_dir, spoil, warnings):
    assert latest_checkpoint(work_dir) == str(work_dir / 'iter_10.pth')
    assert not warnings
    spoil(work_dir / 'iter_10.pth')
    assert latest_checkpoint(work_dir) == str(work_dir / 'iter_4.pth')
    (told,) = warnings
    assert f'names {work_dir / "iter_10.pth"}, which' in told and '\n' not in told
    assert f'continuing from {work_dir / "iter_4.pth"}' in told

    truncate(work_dir / 'iter_4.pth')
    assert latest_checkpoint(work_dir) == str(work_dir / 'iter_2.pth')
    truncate(work_dir / 'iter_2.pth')
    assert 'no earlier checkpoint is sound' in sentence(latest_checkpoint, work_dir)


def test_every_truncation_is_noticed(work_dir):
    whole = (work_dir / 'iter_2.pth').read_bytes()
    for size in range(0, len(whole), 97):
        (work_dir / 'iter_2.pth').write_bytes(whole[:size])
        assert damage(work_dir / 'iter_2.pth') is not None, size


def test_checkpoints_of_another_run_are_left_alone(work_dir, warnings):
    torch.save({}, work_dir / 'iter_160000.pth')
    torch.save({}, work_dir / 'epoch_9.pth')
    truncate(work_dir / 'iter_10.pth')
    assert latest_checkpoint(work_dir) == str(work_dir / 'iter_4.pth')


def test_a_torn_note(work_dir, warnings):
    """MMEngine's own hook leaves an empty one when it is killed at the wrong moment."""
    (work_dir / 'last_checkpoint').write_text('')
    assert latest_checkpoint(work_dir) == str(work_dir / 'iter_10.pth')
    (work_dir / 'last_checkpoint').unlink()
    assert latest_checkpoint(work_dir) == str(work_dir / 'iter_10.pth')
    assert len(warnings) == 2


def test_a_work_directory_that_was_moved(work_dir, warnings):
    (work_dir / 'last_checkpoint').write_text('/elsewhere/iter_10.pth')
    assert latest_checkpoint(work_dir) == str(work_dir / 'iter_10.pth')
    assert 'names /elsewhere/iter_10.pth, which does not exist' in warnings[0]


def test_checkpoints_in_a_folder_of_their_own(work_dir, tmp_path_factory, warnings):
    elsewhere = tmp_path_factory.mktemp('work')
    (elsewhere / 'last_checkpoint').write_text(str(work_dir / 'iter_10.pth'))
    truncate(work_dir / 'iter_10.pth')
    assert latest_checkpoint(elsewhere) == str(work_dir / 'iter_4.pth')


def test_nothing_was_saved(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / 'missing') is None
    (tmp_path / 'last_checkpoint').write_text('/moved/iter_2.pth')
    told = sentence(latest_checkpoint, tmp_path)
    assert 'names /moved/iter_2.pth, which does not exist' in told and 'load_from' in told


def test_the_tool_continues_from_the_sound_one(workspace, capsys):
    run_train = command('train')
    arguments = ['tiny.py', '--work-dir', 'work', *FROM_SCRATCH, 'train_cfg.val_interval=100']
    run_train([*arguments, 'train_cfg.max_iters=4'])
    truncate(Path('work/iter_4.pth'))
    run_train([*arguments, 'train_cfg.max_iters=4', '--resume'])
    assert '4 iterations of 2 images from iteration 2' in capsys.readouterr().out
    assert damage(Path('work/iter_4.pth')) is None
    assert Path('work/last_checkpoint').read_text().endswith('iter_4.pth')
