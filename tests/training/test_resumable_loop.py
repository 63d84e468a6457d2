"""An interrupted run ends with the weights of one that was not interrupted, bit for bit."""

import copy
import itertools
import os
import pickle
import signal
import socket
from pathlib import Path

import pytest
import torch
from fresh_process import start
from mmengine.config import Config
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from tiny_run import FROM_SCRATCH, command

from segheads.training.resumable_loop import ResumableBatches, SeededDataset, use_resumable_loop

CONFIG = """
_base_ = ['./tiny.py']

train_dataloader = dict(
    num_workers={workers}, persistent_workers={workers} > 0, sampler=dict(type='{sampler}'),
    dataset=dict(pipeline=[
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(48, 40), ratio_range=(0.8, 1.5), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PhotoMetricDistortion'),
        dict(type='PackSegInputs'),
    ]))
train_cfg = dict(max_iters=7, val_interval=2)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=3, by_epoch=False),
    dict(type='PolyLR', power=0.9, begin=3, end=7, by_epoch=False),
]
custom_hooks = [dict(type='EMAHook', momentum=0.1), dict(type='KillHook')]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=1, save_best='mIoU'))
"""


@HOOKS.register_module()
class KillHook(Hook):
    """Kills its process as nothing can be caught or tidied up after an iteration."""

    iteration = None

    def after_train_iter(self, runner, **_):
        if runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


def train(arguments, kill_at=None, rank=0, processes=1, port=0):
    """Runs tools/train.py; other tests must not see what it sets."""
    KillHook.iteration = kill_at
    if processes > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(processes))
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
        arguments = [*arguments, '--launcher', 'pytorch']
    command('train')(['long.py', *arguments, *FROM_SCRATCH])


def exit_codes(processes, arguments, kill_at=None):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    started = [start(train, arguments, kill_at, rank, processes, port) for rank in range(processes)]
    for process in started:
        process.join()
    return [process.exitcode for process in started]


@pytest.mark.parametrize(
    'processes, workers, sampler, precision',
    [
        (1, 0, 'InfiniteSampler', []),
        (1, 2, 'DefaultSampler', ['--amp']),
        (2, 0, 'InfiniteSampler', []),
    ],
    ids=['alone', 'workers', 'processes'],
)
def test_a_killed_run_continues_as_if_it_had_not_been(
    workspace, processes, workers, sampler, precision
):
    Path('long.py').write_text(CONFIG.format(workers=workers, sampler=sampler))
    arguments = ['--work-dir', 'killed', *precision]
    assert exit_codes(processes, arguments, kill_at=5) == [-signal.SIGKILL] * processes
    assert not Path('killed/iter_7.pth').exists()
    seed = torch.load('killed/iter_4.pth', weights_only=False)['meta']['seed']
    assert exit_codes(processes, [*arguments, '--resume']) == [0] * processes

    with Path('long.py').open('a') as config:
        config.write(f'randomness = dict(seed={seed})')
    assert exit_codes(processes, ['--work-dir', 'whole', *precision]) == [0] * processes

    resumed, whole = (
        torch.load(f'{folder}/iter_7.pth', weights_only=False) for folder in ('killed', 'whole')
    )
    for part in ('state_dict', 'ema_state_dict'):
        for name, weight in whole[part].items():
            # A checkpoint has the statistics of the first process for all of them.
            if processes == 1 or 'running' not in name:
                assert torch.equal(resumed[part][name], weight), name
    for index, state in whole['optimizer']['state'].items():
        for name, value in state.items():
            assert torch.equal(resumed['optimizer']['state'][index][name], value)
    assert resumed['param_schedulers'] == whole['param_schedulers']
    losses = [
        checkpoint['message_hub']['log_scalars']['train/loss']._log_history
        for checkpoint in (resumed, whole)
    ]
    assert len(losses[1]) == 7 and losses[0].tolist() == losses[1].tolist()


def test_configs_train_in_the_resumable_loop():
    for settings in (dict(type='IterBasedTrainLoop'), dict(by_epoch=False)):
        cfg = Config(dict(train_cfg=dict(max_iters=2, **settings)))
        use_resumable_loop(cfg)
        assert cfg.train_cfg == dict(type='ResumableTrainLoop', max_iters=2)
    cfg = Config(dict(train_cfg=dict(by_epoch=True, max_epochs=2)))
    use_resumable_loop(cfg)
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=2)


def batches(first, sampler, batch_size=3, **settings):
    drawn = ResumableBatches(sampler, batch_size, **settings)
    drawn.begin(7, first)
    return [
        [(int(index), index.key) for index in batch] for batch in itertools.islice(drawn, 9 - first)
    ]


@pytest.mark.parametrize('sampler', [InfiniteSampler, DefaultSampler])
def test_batches_from_any_iteration_on(sampler):
    whole = batches(0, sampler(range(10), seed=3))
    keys = {key for batch in whole for _, key in batch}
    assert len(keys) == sum(map(len, whole)), 'two samples share their random numbers'
    for first in (1, 4, 8):
        assert batches(first, sampler(range(10), seed=3)) == whole[first:]


def test_epochs_of_a_finite_sampler_end_as_they_do_in_mmengine():
    sampler = DefaultSampler(range(10), seed=3)
    assert [len(batch) for batch in batches(0, sampler)] == [3, 3, 3, 1, 3, 3, 3, 1, 3]
    assert {len(batch) for batch in batches(0, sampler, drop_last=True)} == {3}
    epochs = [[index for index, _ in sum(batches(0, sampler)[i : i + 4], [])] for i in (0, 4)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10)) and epochs[0] != epochs[1]


def test_a_seeded_dataset_is_the_dataset_inside_in_everything_else():
    dataset = SeededDataset(dict(type='SyntheticScenes', length=2, pipeline=[]))
    assert dataset.metainfo == dataset.dataset.metainfo and len(dataset) == 2
    dataset.pipeline = None
    assert dataset.dataset.pipeline is None
    assert copy.deepcopy(dataset).metainfo == dataset.metainfo
    assert pickle.loads(pickle.dumps(dataset)).metainfo == dataset.metainfo


def test_an_index_keeps_its_key_on_the_way_to_a_worker():
    (index, *_), *_ = itertools.islice(ready(ResumableBatches(range(10), 3)), 1)
    sent = pickle.loads(pickle.dumps(index))
    assert sent == index and sent.key == index.key


def ready(drawn):
    assert list(drawn) == [], 'batches are drawn before the run knows where it begins'
    drawn.begin(7, 0)
    return drawn
