"""Several processes on a CPU."""

from pathlib import Path

import pytest
from mmengine.config import Config
from tiny_run import sentence
from torch import nn

from segheads.training import processes
from segheads.training.processes import (
    check_launcher,
    join_process_group,
    leave_process_group,
    local_rank,
    replace_sync_batch_norm,
)


def test_sync_batch_norm_is_replaced_everywhere():
    norm = dict(type='SyncBN', requires_grad=True)
    cfg = Config(dict(head=dict(norm_cfg=norm), heads=[dict(block=dict(norm_cfg=norm))]))
    replace_sync_batch_norm(cfg._cfg_dict)
    batch_norm = dict(type='BN', requires_grad=True)
    assert cfg.head.norm_cfg == batch_norm
    assert cfg.heads[0].block.norm_cfg == batch_norm


def test_a_launcher_that_did_not_start_the_process(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    check_launcher('none')
    assert 'the variable RANK is not set' in sentence(check_launcher, 'pytorch')


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv('RANK', '3')
    monkeypatch.setenv('LOCAL_RANK', '3')
    monkeypatch.setattr(processes, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(processes.torch.cuda, 'device_count', lambda: 2)
    assert 'at least 4 processes' in sentence(check_launcher, 'pytorch')
    monkeypatch.setenv('LOCAL_RANK', '1')
    check_launcher('pytorch')


def test_the_local_rank_of_old_launchers(monkeypatch):
    monkeypatch.setenv('RANK', '1')
    monkeypatch.setenv('LOCAL_RANK', '0')
    check_launcher('pytorch', 1)
    assert local_rank() == 0
    monkeypatch.delenv('LOCAL_RANK')
    check_launcher('pytorch', 1)
    assert local_rank() == 1


@pytest.fixture
def joined(monkeypatch):
    """Starts from no launcher's variables and records how the process group is made."""
    for variable in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.setenv(variable, '')  # so that it is restored, whatever the code sets
        monkeypatch.delenv(variable)
    calls = []

    def record(backend, **settings):
        names = ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
        calls.append((backend, settings, [processes.os.environ[name] for name in names]))

    monkeypatch.setattr(processes.distributed, 'init_process_group', record)
    return calls


def test_slurm_on_cpus(joined, monkeypatch, tmp_path):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho node7; echo node8\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    for variable, value in dict(PROCID=5, NTASKS=8, LOCALID=1, NODELIST='node[7-8]').items():
        monkeypatch.setenv(f'SLURM_{variable}', str(value))
    join_process_group('slurm', timeout=60)
    assert local_rank() == 1
    ((backend, settings, variables),) = joined
    assert (backend, settings['timeout'].total_seconds()) == ('gloo', 60)
    assert variables == ['5', '8', 'node7', '29500']


def test_mpi_on_cpus(joined, monkeypatch):
    for variable, value in dict(RANK=1, SIZE=2, LOCAL_RANK=1).items():
        monkeypatch.setenv(f'OMPI_COMM_WORLD_{variable}', str(value))
    monkeypatch.setenv('MASTER_PORT', '29601')
    join_process_group('mpi')
    assert joined == [('gloo', {}, ['1', '2', '127.0.0.1', '29601'])]


@pytest.mark.skipif(not Path('/proc/self/task').exists(), reason='threads are listed on Linux')
def test_no_thread_of_a_group_outlives_it(tmp_path):
    processes.distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    model = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    model.runner = [model]
    del model
    assert gloo_threads()
    leave_process_group()
    assert not gloo_threads()


def gloo_threads():
    names = [task.read_text() for task in Path('/proc/self/task').glob('*/comm')]
    return [name for name in names if 'gloo' in name]
