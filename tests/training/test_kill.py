"""`kill -9` at random instants, half of them and more while a checkpoint is being written."""

import random
import signal
import time
from pathlib import Path

import torch
from fresh_process import context, start
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.registry import DATASETS, MODELS
from tiny_run import forget_visualizers

from segheads.training.resumable_loop import use_resumable_loop
from segheads.training.resuming import damage, latest_checkpoint
from segheads.training.saving import save_atomically, set_last_checkpoint

KILLS = 26
INTERVAL = 3


@MODELS.register_module()
class Ballast(BaseModel):
    """One weight to train, and enough bytes that writing them takes a while."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.register_buffer('ballast', torch.rand(2_000_000))

    def forward(self, inputs, mode='tensor'):
        noise = torch.rand(1)
        return dict(loss=(self.weight - inputs.float().mean() - noise).square().mean())


@DATASETS.register_module()
class Numbers(torch.utils.data.Dataset):
    """Samples that are random themselves, as augmented ones are."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return dict(inputs=torch.tensor(index + random.random()))


class Progress(Hook):
    """Tells the parent process how far training is.

    Args:
        shared (Array): Completed iterations, whether a checkpoint is being written, seconds that
            writing the last one took, and the iteration at which the run began.
    """

    priority = 'VERY_HIGH'

    def __init__(self, shared):
        self.shared = shared

    def before_train(self, runner):
        self.shared[:] = [runner.iter, 0, self.shared[2], runner.iter]

    def after_train_iter(self, runner, **_):
        self.shared[0] = runner.iter + 1

    def before_save_checkpoint(self, runner, checkpoint):
        self.began = time.perf_counter()
        self.shared[1] = 1

    def before_train_iter(self, runner, **_):
        if self.shared[1]:
            self.shared[1:3] = [0, time.perf_counter() - self.began]


def train(work_dir, iterations, shared):
    """What tools/train.py does with --resume, around a model without images."""
    forget_visualizers()
    cfg = Config(
        dict(
            default_scope='mmseg',
            model=dict(type='Ballast'),
            train_dataloader=dict(
                dataset=dict(type='Numbers'),
                sampler=dict(type='InfiniteSampler'),
                batch_size=2,
                collate_fn=dict(type='default_collate'),
            ),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=iterations),
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=INTERVAL, max_keep_ckpts=1
                )
            ),
            log_level='ERROR',
            work_dir=str(work_dir),
            resume=True,
            randomness=dict(seed=0),
        )
    )
    save_atomically(cfg)
    use_resumable_loop(cfg)
    checkpoint = latest_checkpoint(work_dir)
    if checkpoint:
        set_last_checkpoint(work_dir, checkpoint)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Progress(shared))
    return runner.train()


def wait_for(condition, process):
    while not condition():
        assert process.is_alive(), 'training has ended by itself'
        time.sleep(0.0005)


def step_of(checkpoint):
    return int(Path(checkpoint).stem.removeprefix('iter_')) if checkpoint else 0


def test_no_kill_loses_more_than_one_interval(tmp_path):
    shared = context.Array('d', 4, lock=False)
    chance = random.Random(0)
    work_dir = tmp_path / 'killed'
    lost_most, while_writing = 0, 0
    for kill in range(KILLS):
        shared[0] = -1
        resumes_at = step_of(latest_checkpoint(work_dir)) if kill else 0
        process = start(train, work_dir, 10**6, shared)
        wait_for(lambda: shared[0] >= 0, process)
        if kill and chance.random() < 0.75:
            wait_for(lambda: shared[1], process)
            time.sleep(chance.uniform(0, shared[2]))
        else:
            wait_for(lambda: shared[0] >= shared[3] + INTERVAL + 1, process)
            time.sleep(chance.uniform(0, 0.05))
        while_writing += shared[1] > 0
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL

        assert shared[3] == resumes_at, 'the run did not continue where it was saved'
        note = work_dir / 'last_checkpoint'
        if note.is_file():
            assert damage(Path(note.read_text())) is None
        lost_most = max(lost_most, shared[0] - step_of(latest_checkpoint(work_dir)))
    assert lost_most <= INTERVAL
    assert while_writing >= KILLS // 3

    iterations = int(shared[0]) + 1
    killed = train(work_dir, iterations, shared)
    assert not list(work_dir.glob('.*')), 'unfinished files are left'
    whole = train(tmp_path / 'whole', iterations, shared)
    assert torch.equal(killed.weight, whole.weight)
