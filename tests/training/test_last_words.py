"""What several processes say when one of them ends the run."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch import distributed

from segheads.training.last_words import agree_on_last_words

# Without all that importing segheads brings, which takes seconds.
PROCESS = """
import importlib.util, sys, time
import torch
from torch import distributed
from segheads_command import place_package

place_package()
from segheads.commands import run_and_exit
from segheads.mistakes import UserMistake

name = 'segheads.training.last_words'
spec = importlib.util.spec_from_file_location(name, 'segheads/training/last_words.py')
sys.modules[name] = last_words = importlib.util.module_from_spec(spec)
spec.loader.exec_module(last_words)
last_words.SECONDS_BETWEEN_LOOKS = 0.1
rank, end = int(sys.argv[1]), sys.argv[2]
store = distributed.FileStore(sys.argv[3], 2)
distributed.init_process_group('gloo', store=store, rank=rank, world_size=2)

def command():
    last_words.end_with_others()
    distributed.barrier()
    if rank == 0:
        distributed.all_reduce(torch.zeros(1))
    elif end == 'defect':
        raise RuntimeError('a defect of ours')
    mistake = UserMistake('the image a.png cannot be read')
    if end == 'waiting':  # for workers, say: the other process does not notice that it is gone
        last_words.agree_on_last_words(str(mistake))
        time.sleep(60)
    raise mistake

run_and_exit(command)
"""


def run(end, tmp_path):
    """Runs two processes, of which the second fails; returns exit codes and what they print."""
    command = [sys.executable, '-W', 'ignore', '-c', PROCESS]
    processes = [
        subprocess.Popen(
            [*command, str(rank), end, str(tmp_path / 'store')],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for rank in range(2)
    ]
    try:
        first = processes[0].communicate(timeout=60)[1]
        if end == 'waiting':
            processes[1].kill()
        second = processes[1].communicate(timeout=60)[1]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], first, second


def test_the_process_that_fails_speaks_and_all_end(tmp_path):
    codes, first, second = run('mistake', tmp_path)
    assert codes == [2, 2]
    assert (first + second).strip() == 'error: the image a.png cannot be read'


def test_a_process_that_waits_for_the_others_ends_with_them(tmp_path):
    codes, first, _ = run('waiting', tmp_path)
    assert codes[0] == 2 and first == ''


def test_a_defect_keeps_its_traceback(tmp_path):
    codes, _, second = run('defect', tmp_path)
    assert codes[1] == 1 and 'RuntimeError: a defect of ours' in second


def test_a_process_alone_has_nobody_to_agree_with():
    assert not distributed.is_initialized()
    assert agree_on_last_words('a sentence') is None
    assert agree_on_last_words(None) is None


@pytest.fixture
def joined(tmp_path):
    distributed.init_process_group(
        'gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    yield
    distributed.destroy_process_group()


def test_the_first_sentence_counts(joined, monkeypatch):
    from segheads.training import last_words

    class Turn:
        """Is held by a process to its end; this one goes on."""

        def acquire(self):
            pass

    monkeypatch.setattr(last_words, '_ending', Turn())
    assert agree_on_last_words(None) == (None, True)
    assert agree_on_last_words('first') == ('first', True)
    assert agree_on_last_words('second') == ('first', False)
    assert agree_on_last_words(None) == ('first', False)
