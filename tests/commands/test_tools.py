"""The tools end to end, on a CPU, with a network and data of a few kilobytes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from tiny_run import FROM_SCRATCH, ROOT, command, forget_visualizers, write_workspace

from segheads.mistakes import UserMistake

run_train = command('train')
run_test = command('test')


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A workspace with a space in its name, after two iterations of training."""
    workspace = write_workspace(tmp_path_factory.mktemp('a workspace'))
    forget_visualizers()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        run_train(['tiny.py', *FROM_SCRATCH])
    return workspace


@pytest.fixture
def workspace(trained, monkeypatch):
    forget_visualizers()
    monkeypatch.chdir(trained)
    return trained


def run(*command, **variables):
    """Runs a script as users do."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    environment = dict(
        os.environ, PATH=path, PYTHONPATH=python_path, OMP_NUM_THREADS='1', **variables
    )
    for variable in ('PORT', 'NNODES', 'NODE_RANK', 'MASTER_ADDR', 'RANK', 'LOCAL_RANK'):
        if variable not in variables:
            environment.pop(variable, None)
    return subprocess.run(
        [str(part) for part in command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def metrics(work_dir):
    """Reads what a test run has reported."""
    file = max(Path(work_dir).glob('2*/2*.json'))
    return json.loads(file.read_text().splitlines()[-1])


def test_training_validates_and_saves(workspace):
    checkpoint = torch.load('work_dirs/tiny/iter_2.pth', weights_only=False)
    assert checkpoint['meta']['iter'] == 2
    scalars = max(Path('work_dirs/tiny').glob('2*/vis_data/scalars.json')).read_text()
    assert '"loss"' in scalars and '"mIoU"' in scalars


def test_resuming_needs_no_pretrained_weights(workspace, tmp_path):
    for name in ('iter_2.pth', 'last_checkpoint'):
        (tmp_path / name).write_bytes((workspace / 'work_dirs' / 'tiny' / name).read_bytes())
    options = ['--cfg-options', 'train_cfg.max_iters=3', 'train_cfg.val_interval=3']
    run_train(['tiny.py', '--resume', '--work-dir', str(tmp_path), *options])
    scalars = max(tmp_path.glob('2*/vis_data/scalars.json')).read_text()
    steps = [json.loads(line)['step'] for line in scalars.splitlines()]
    assert steps == [3, 3]  # one of training, one of validation: nothing is done twice


def test_mixed_precision_on_the_cpu(workspace, tmp_path):
    run_train(['tiny.py', '--amp', '--work-dir', str(tmp_path), *FROM_SCRATCH])
    assert (tmp_path / 'iter_2.pth').is_file()
    wrapper = Config.fromfile(tmp_path / 'tiny.py').optim_wrapper
    assert (wrapper.type, wrapper.dtype) == ('AutocastOptimWrapper', 'bfloat16')


def test_testing_reports_and_saves_class_maps_and_overlays(workspace, tmp_path):
    arguments = ['--out', str(tmp_path / 'maps'), '--show-dir', str(tmp_path / 'overlays')]
    run_test(['tiny.py', 'work_dirs/tiny/iter_2.pth', '--work-dir', str(tmp_path), *arguments])
    assert 0 <= metrics(tmp_path)['mIoU'] <= 100
    maps = sorted((tmp_path / 'maps').iterdir())
    assert [path.name for path in maps] == ['0.png', '1.png']
    labels = np.array(Image.open(maps[0]))
    assert labels.shape == (40, 48) and labels.max() < 3
    overlays = [path for path in (tmp_path / 'overlays').rglob('*.png')]
    assert len(overlays) == 2


def test_test_time_augmentation(workspace, tmp_path):
    run_test(['tiny.py', 'work_dirs/tiny/iter_2.pth', '--tta', '--work-dir', str(tmp_path)])
    assert 0 <= metrics(tmp_path)['mIoU'] <= 100
    assert Config.fromfile(tmp_path / 'tiny.py').model.type == 'SegTTAModel'


def test_testing_refuses_a_checkpoint_of_another_model(workspace, tmp_path):
    checkpoint = torch.load('work_dirs/tiny/iter_2.pth', weights_only=False)
    weights = checkpoint['state_dict']
    del weights['backbone.layers.0.2.weight']
    weights['decode_head.conv_seg.weight'] = torch.zeros(7, 8, 1, 1)
    torch.save(checkpoint, tmp_path / 'other.pth')
    command = ['tiny.py', str(tmp_path / 'other.pth'), '--work-dir', str(tmp_path)]
    with pytest.raises(UserMistake) as mistake:
        run_test(command)
    assert re.search(r'lacks backbone 1 of \d+ \(backbone.layers.0.2.weight\)', str(mistake.value))
    assert 'decode_head.conv_seg (7 vs 3): the checkpoint has 7 classes' in str(mistake.value)

    forget_visualizers()
    run_test([*command, '--allow-partial'])
    assert 'mIoU' in metrics(tmp_path)


def test_two_processes_train_and_test_as_one_model(workspace, tmp_path):
    script = ROOT / 'tools' / 'dist_train.sh'
    done = run(script, 'tiny.py', 2, '--work-dir', tmp_path / 'train', *FROM_SCRATCH)
    assert done.returncode == 0, done.stderr
    (log,) = [file.read_text() for file in (tmp_path / 'train').glob('2*/2*.log')]
    assert 'Distributed training: True' in log and 'GPU number: 2' in log
    weights = torch.load(tmp_path / 'train' / 'iter_2.pth', weights_only=False)['state_dict']
    assert all(torch.isfinite(weight).all() for weight in weights.values())

    checkpoint = tmp_path / 'train' / 'iter_2.pth'
    script = ROOT / 'tools' / 'dist_test.sh'
    done = run(script, 'tiny.py', checkpoint, 2, '--work-dir', tmp_path / 'two')
    assert done.returncode == 0, done.stderr
    run_test(['tiny.py', str(checkpoint), '--work-dir', str(tmp_path / 'one')])
    two, one = metrics(tmp_path / 'two'), metrics(tmp_path / 'one')
    assert {key: two[key] for key in ('aAcc', 'mIoU', 'mAcc')} == {
        key: one[key] for key in ('aAcc', 'mIoU', 'mAcc')
    }


def test_a_mistake_is_one_line_and_exit_code_2(workspace):
    done = run(sys.executable, ROOT / 'tools' / 'train.py', 'tini.py')
    assert done.returncode == 2
    mistakes = [line for line in done.stderr.splitlines() if line.startswith('error: ')]
    assert mistakes == ['error: the config file tini.py does not exist; did you mean tiny.py?']
    assert 'Traceback' not in done.stderr


def test_of_several_processes_one_tells_a_mistake(workspace):
    done = run(ROOT / 'tools' / 'dist_train.sh', 'tini.py', 2)
    assert done.returncode == 2
    assert done.stderr.count('error: the config file tini.py does not exist') == 1
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('script', sorted(path.name for path in (ROOT / 'tools').glob('*.sh')))
def test_scripts_say_how_to_use_them(script):
    done = run(ROOT / 'tools' / script)
    assert done.returncode == 2
    assert done.stderr.startswith('usage: ') and 'CONFIG' in done.stderr


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Replaces srun and python by programs that print their arguments, one per line."""
    for name in ('srun', 'python'):
        program = tmp_path / name
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        program.chmod(0o755)

    def record(script, *arguments, **variables):
        path = f'{tmp_path}{os.pathsep}{os.environ["PATH"]}'
        for variable in ('PORT', 'NNODES', 'NODE_RANK', 'MASTER_ADDR'):
            monkeypatch.delenv(variable, raising=False)
        done = subprocess.run(
            [str(ROOT / 'tools' / script), *arguments],
            env=dict(os.environ, PATH=path, **variables),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    return record


def test_several_machines(recorded):
    machines = dict(NNODES='2', NODE_RANK='1', MASTER_ADDR='10.0.0.1', PORT='29600')
    assert recorded('dist_test.sh', 'a config.py', 'a.pth', '4', '--tta', **machines) == [
        str(ROOT / 'tools' / 'launch.py'),
        '--nproc-per-node=4',
        '--nnodes=2',
        '--node-rank=1',
        '--master-addr=10.0.0.1',
        '--master-port=29600',
        str(ROOT / 'tools' / 'test.py'),
        'a config.py',
        'a.pth',
        '--launcher',
        'pytorch',
        '--tta',
    ]


def test_one_machine_takes_a_free_port_unless_told(recorded):
    assert '--rdzv-endpoint=localhost:0' in recorded('dist_train.sh', 'a.py', '2')
    assert '--master-port=29600' in recorded('dist_train.sh', 'a.py', '2', PORT='29600')


def test_slurm(recorded):
    settings = dict(GPUS='2', GPUS_PER_NODE='8', SRUN_ARGS='--quotatype=auto --exclusive')
    arguments = ('part', 'a job', 'a config.py', '--cfg-options', 'model.test_cfg.mode=whole')
    assert recorded('slurm_train.sh', *arguments, **settings) == [
        '--partition=part',
        '--job-name=a job',
        '--gres=gpu:2',
        '--ntasks=2',
        '--ntasks-per-node=2',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        '--quotatype=auto',
        '--exclusive',
        'python',
        '-u',
        str(ROOT / 'tools' / 'train.py'),
        'a config.py',
        '--launcher',
        'slurm',
        '--cfg-options',
        'model.test_cfg.mode=whole',
    ]
    command = recorded('slurm_test.sh', 'part', 'job', 'a.py', 'a.pth', '--out', 'maps')
    assert '--ntasks=4' in command
    assert command[-6:] == ['a.py', 'a.pth', '--launcher', 'slurm', '--out', 'maps']
