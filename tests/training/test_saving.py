"""Checkpoints on disks that are full, read-only, or pulled from under a run."""

import errno
import inspect
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from mmengine.runner import save_checkpoint
from tiny_run import FROM_SCRATCH, command, forget_visualizers, sentence

from segheads.mistakes import UserMistake, sentence_for
from segheads.training import atomic_files
from segheads.training.accumulation import GRADIENTS
from segheads.training.atomic_files import remove_unfinished, write_atomically
from segheads.training.resuming import damage
from segheads.training.saving import (
    AtomicCheckpointHook,
    check_free_space,
    check_output_folder,
    checkpoint_size,
    save_atomically,
)

run_train = command('train')


def train(*arguments):
    forget_visualizers()
    run_train(['tiny.py', '--work-dir', 'work', *arguments, *FROM_SCRATCH])


@pytest.fixture
def file_size_limit():
    """Makes the kernel stop writing after some bytes of any file, as a full disk does."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_is_replaced_in_whole(tmp_path):
    path = tmp_path / 'new folder' / 'iter_2.pth'
    write_atomically(b'old', path)
    before = path.stat()
    write_atomically(b'new', path)
    assert path.read_bytes() == b'new'
    assert path.stat().st_ino != before.st_ino, 'the old content was written over'
    assert path.stat().st_mode == before.st_mode
    assert [file.name for file in path.parent.iterdir()] == ['iter_2.pth']


def test_a_write_that_fails_halfway_changes_nothing(tmp_path, file_size_limit):
    path = tmp_path / 'iter_2.pth'
    write_atomically(b'old', path)
    file_size_limit(1000)
    with pytest.raises(OSError, match='iter_2.pth'):
        write_atomically(bytes(2000), path)
    assert path.read_bytes() == b'old'
    assert [file.name for file in tmp_path.iterdir()] == ['iter_2.pth']


def test_a_work_directory_that_cannot_be_written(tmp_path):
    check_output_folder(str(tmp_path / 'made' / 'here'))
    (tmp_path / 'file').write_text('')
    told = sentence(check_output_folder, str(tmp_path / 'file'))
    assert 'file cannot be written to (File exists)' in told and '--work-dir' in told
    # Not even the superuser makes folders there.
    assert 'cannot be written to' in sentence(check_output_folder, '/proc/segheads')


@pytest.mark.skipif(os.geteuid() == 0, reason='permissions do not stop the superuser')
def test_a_read_only_work_directory(tmp_path):
    tmp_path.chmod(0o500)
    assert 'Permission denied' in sentence(check_output_folder, str(tmp_path))


def test_a_disk_without_room_for_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: SimpleNamespace(free=5_000_000))
    check_free_space(tmp_path, 5_000_000)
    told = sentence(check_free_space, tmp_path, 6_000_000)
    assert 'has 5.0 MB left' in told and 'takes 6.0 MB' in told


@pytest.mark.parametrize(
    'optimizer, copies',
    [
        (lambda weights: torch.optim.AdamW(weights), 3),
        (lambda weights: torch.optim.SGD(weights, lr=0.1, momentum=0.9), 2),
        (lambda weights: torch.optim.SGD(weights, lr=0.1), 1),
    ],
    ids=['adamw', 'momentum', 'sgd'],
)
def test_the_size_of_a_checkpoint_is_foreseen(tmp_path, optimizer, copies):
    model = torch.nn.Linear(100, 1000)
    wrapper = OptimWrapper(optimizer(model.parameters()))
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper, hooks=[])
    assert checkpoint_size(runner) == copies * 404_000
    wrapper.update_params(model(torch.ones(1, 100)).sum())
    content = dict(state_dict=model.state_dict(), optimizer=wrapper.state_dict())
    torch.save(content, tmp_path / 'iter_1.pth')
    assert (tmp_path / 'iter_1.pth').stat().st_size == pytest.approx(copies * 404_000, rel=0.02)

    assert checkpoint_size(runner, save_optimizer=False) == 404_000
    runner.hooks = [EMAHook()]
    assert checkpoint_size(runner) == (copies + 1) * 404_000


def test_a_disk_that_fills_up_keeps_the_previous_checkpoint(workspace, file_size_limit):
    options = ['default_hooks.checkpoint.max_keep_ckpts=1', 'train_cfg.val_interval=100']
    train('--cfg-options', *options)
    size = Path('work/iter_2.pth').stat().st_size
    Path('work/.iter_4.pth.123.unfinished').write_bytes(b'of a run that was killed')

    file_size_limit(size // 2)
    with pytest.raises(UserMistake) as mistake:
        train('--resume', '--cfg-options', *options, 'train_cfg.max_iters=4')
    told = str(mistake.value)
    assert 'iter_4.pth could not be written (File too large)' in told
    assert f'{Path("work/iter_2.pth").resolve()} is complete' in told and '\n' not in told
    assert damage(Path('work/iter_2.pth')) is None
    assert not list(Path('work').glob('.*')), 'unfinished files are left'
    assert Path('work/last_checkpoint').read_text().endswith('iter_2.pth')

    file_size_limit(resource.RLIM_INFINITY)
    train('--resume', '--cfg-options', *options, 'train_cfg.max_iters=4')
    assert [path.name for path in Path('work').glob('*.pth')] == ['iter_4.pth']


def test_training_does_not_start_on_a_full_disk(workspace, monkeypatch):
    monkeypatch.setattr(shutil, 'disk_usage', lambda _: SimpleNamespace(free=1000))
    assert 'one checkpoint of this model takes' in sentence(train)
    assert not list(Path('work').glob('*.pth'))


def test_a_full_disk_under_any_other_file_is_one_sentence():
    full = OSError(errno.ENOSPC, 'No space left on device')
    assert 'a file could not be written (No space left on device)' in sentence_for(full)
    assert sentence_for(PermissionError(errno.EACCES, 'Permission denied')) is None


class FakeRunner:
    """What the hook needs of MMEngine's Runner, without a training."""

    def __init__(self, work_dir):
        self.work_dir = str(work_dir)
        self.iter, self.epoch, self.max_iters = 0, 0, 4
        self.message_hub = MessageHub('fake')
        self.logger = logging.getLogger('fake')
        self.model = torch.nn.Linear(10, 10)
        self.optim_wrapper = OptimWrapper(torch.optim.AdamW(self.model.parameters()))
        self.hooks = []

    def save_checkpoint(self, out_dir, filename, *_, backend_args, **__):
        weights = self.model.state_dict()
        save_checkpoint(weights, f'{out_dir}/{filename}', backend_args=backend_args)


def test_at_every_instant_there_are_a_last_and_a_best_checkpoint(tmp_path):
    """Looks before every line of what saves, as if the process were killed there."""
    runner = FakeRunner(tmp_path)
    saving = {
        inspect.getfile(part) for part in (AtomicCheckpointHook, CheckpointHook, LocalBackend)
    }
    note = tmp_path / 'last_checkpoint'
    instants, faults, had_best = 0, set(), False

    def look(*_):
        nonlocal instants, had_best
        if note.is_file():
            instants += 1
            faults.add(damage(Path(note.read_text())))
        best = list(tmp_path.glob('best_*.pth'))
        had_best = had_best or bool(best)
        if had_best and None not in map(damage, best):
            faults.add('no best checkpoint')
        return look

    hook = AtomicCheckpointHook(1, by_epoch=False, max_keep_ckpts=1, save_best='mIoU')
    hook.before_train(runner)
    before = sys.gettrace()
    sys.settrace(lambda frame, *_: look if frame.f_code.co_filename in saving else None)
    try:
        for score in (0.1, 0.3, 0.2, 0.4):
            hook.after_train_iter(runner, runner.iter)
            runner.iter += 1
            hook.after_val_epoch(runner, dict(mIoU=score))
    finally:
        sys.settrace(before)
    assert instants > 200 and faults == {None}
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ['best_mIoU_iter_4.pth', 'iter_4.pth', 'last_checkpoint']


def test_a_run_that_died_before_it_removed_a_checkpoint_leaves_that_to_the_next(tmp_path):
    def two_iterations(hook, runner):
        hook.before_train(runner)
        for _ in range(2):
            hook.after_train_iter(runner, runner.iter)
            runner.iter += 1

    runner = FakeRunner(tmp_path)
    hook = AtomicCheckpointHook(1, by_epoch=False, max_keep_ckpts=1)
    hook._remove = lambda path: None
    two_iterations(hook, runner)
    assert {path.stem for path in tmp_path.glob('*.pth')} == {'iter_1', 'iter_2'}
    two_iterations(AtomicCheckpointHook(1, by_epoch=False, max_keep_ckpts=2), runner)
    assert {path.stem for path in tmp_path.glob('*.pth')} == {'iter_3', 'iter_4'}


def test_checkpoints_in_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('')
    hook = AtomicCheckpointHook(1, by_epoch=False, out_dir=str(tmp_path / 'file'))
    assert 'cannot be written to' in sentence(hook.before_train, FakeRunner(tmp_path / 'work'))


def test_checkpoints_that_go_elsewhere_keep_their_backend():
    assert AtomicCheckpointHook().backend_args == dict(backend='atomic')
    petrel = dict(backend='petrel')
    assert AtomicCheckpointHook(backend_args=petrel).backend_args == petrel
    assert AtomicCheckpointHook(out_dir='s3://bucket').backend_args is None


def test_configs_save_atomically():
    cfg = Config(dict(custom_hooks=[dict(type='CheckpointHook', interval=5), dict(type='EMAHook')]))
    save_atomically(cfg)
    assert cfg.default_hooks.checkpoint == dict(type='AtomicCheckpointHook', interval=1)
    assert [hook.type for hook in cfg.custom_hooks] == ['AtomicCheckpointHook', 'EMAHook']
    cfg = Config(dict(default_hooks=dict(checkpoint=None)))
    save_atomically(cfg)
    assert cfg.default_hooks.checkpoint is None


VALIDATED = ['default_hooks.checkpoint.save_best=mIoU', 'train_cfg.val_interval=1']


@pytest.mark.parametrize('place', ['elsewhere', 'in the folder', 'above it', 'a link'])
def test_a_resumed_run_removes_no_file_that_is_not_its_own(workspace, place):
    train()
    victim = {
        'elsewhere': workspace / 'thesis.txt',
        'in the folder': workspace / 'other' / 'notes.pth',
        'above it': workspace / 'other' / '..' / 'best_mIoU_iter_1.pth',
        'a link': workspace / 'other' / 'linked' / 'best_mIoU_iter_1.pth',
    }[place]
    (workspace / 'other').mkdir()
    (workspace / 'elsewhere').mkdir()
    (workspace / 'other' / 'linked').symlink_to(workspace / 'elsewhere')
    victim.write_text('important')
    checkpoint = torch.load('work/iter_2.pth', weights_only=False)
    hub = checkpoint['message_hub']
    hub['runtime_info'].update(best_ckpt=str(victim), best_score=-1.0)
    hub['resumed_keys'].update(best_ckpt=True, best_score=True)
    torch.save(checkpoint, 'evil.pth')
    forget_visualizers()
    options = [*FROM_SCRATCH, *VALIDATED, 'load_from=evil.pth', 'train_cfg.max_iters=4']
    run_train(['tiny.py', '--work-dir', 'other', '--resume', *options])
    assert victim.read_text() == 'important'
    assert len(list(Path('other').glob('best_mIoU_iter_[34].pth'))) == 1


def test_its_own_best_checkpoint_is_replaced_after_resuming(workspace):
    forget_visualizers()
    run_train(['tiny.py', '--work-dir', 'work', *FROM_SCRATCH, *VALIDATED])
    (before,) = Path('work').glob('best_*.pth')
    last = torch.load('work/iter_2.pth', weights_only=False)
    last['message_hub']['runtime_info']['best_score'] = -1.0
    torch.save(last, 'work/iter_2.pth')
    forget_visualizers()
    options = [*FROM_SCRATCH, *VALIDATED, 'train_cfg.max_iters=4', 'train_cfg.val_begin=4']
    run_train(['tiny.py', '--work-dir', 'work', '--resume', *options])
    assert [file.name for file in Path('work').glob('best_*.pth')] == ['best_mIoU_iter_4.pth']
    assert before.name != 'best_mIoU_iter_4.pth'


def test_what_a_killed_process_was_writing_is_removed_and_what_a_live_one_writes_is_not(tmp_path):
    dead = subprocess.Popen([sys.executable, '-c', ''])
    dead.wait()
    machine = atomic_files._machine()
    stays = [f'.a.pth.{machine}-{os.getpid()}.unfinished', '.b.pth.elsewhere-1.unfinished']
    goes = [f'.a.pth.{machine}-{dead.pid}.unfinished', '.c.pth.elsewhere-2.unfinished']
    for name in (*stays, *goes):
        (tmp_path / name).touch()
    two_days_ago = time.time() - 2 * atomic_files.SECONDS_OF_A_DAY
    os.utime(tmp_path / goes[1], (two_days_ago, two_days_ago))
    remove_unfinished(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(stays)


@pytest.mark.parametrize('counts', [2, 3])
def test_a_run_resumed_inside_an_accumulation_equals_the_uninterrupted_one(workspace, counts):
    options = [f'optim_wrapper.accumulative_counts={counts}', 'train_cfg.max_iters=7']
    options += ['train_cfg.val_interval=100', 'randomness.seed=3']
    options += ['default_hooks.checkpoint.interval=4']
    for folder in ('whole', 'resumed'):
        if folder == 'resumed':
            Path('resumed').mkdir()
            shutil.copy('whole/iter_4.pth', 'resumed')
            Path('resumed/last_checkpoint').write_text('resumed/iter_4.pth')
        forget_visualizers()
        run_train(['tiny.py', '--work-dir', folder, '--resume', *FROM_SCRATCH, *options])
    whole, resumed = (
        torch.load(f'{folder}/iter_7.pth', weights_only=True) for folder in ('whole', 'resumed')
    )
    assert all(torch.equal(resumed['state_dict'][k], v) for k, v in whole['state_dict'].items())
    saved = torch.load('whole/iter_4.pth', weights_only=True)
    assert (GRADIENTS in saved) == (4 % counts != 0)
    assert GRADIENTS not in whole
