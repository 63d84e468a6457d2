"""A signal ends training with a checkpoint, from which it continues as if there had been none."""

import os
import signal
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from tiny_run import FROM_SCRATCH, command, forget_visualizers

from segheads.training import interruption
from segheads.training.interruption import Interrupted

OPTIONS = [*FROM_SCRATCH, 'train_cfg.max_iters=5', 'train_cfg.val_interval=2']
OPTIONS += ['default_hooks.checkpoint.interval=100', 'randomness.seed=7']


@HOOKS.register_module(force=True)
class SignalAt(Hook):
    """Sends this process a signal in the middle of an iteration or of a validation."""

    def __init__(self, number: int, iteration: int | None = None, validation: bool = False) -> None:
        self.number, self.iteration, self.validation = number, iteration, validation

    def before_train_iter(self, runner, *args, **kwargs):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), self.number)

    def before_val_iter(self, runner, *args, **kwargs):
        if self.validation:
            os.kill(os.getpid(), self.number)


def train(folder: str, *arguments: str, hook: str | None = None) -> None:
    forget_visualizers()
    hooks = ['custom_hooks=[]'] if hook is None else []
    text = Path('tiny.py').read_text().partition('\ncustom_hooks')[0]
    Path('tiny.py').write_text(text + (f'\ncustom_hooks = [{hook}]\n' if hook else ''))
    command('train')(['tiny.py', '--work-dir', folder, *arguments, *OPTIONS, *hooks])


def weights(path: str) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)['state_dict']


@pytest.mark.parametrize(
    'number, code', [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 143)]
)
def test_the_resumed_run_equals_the_uninterrupted_one(workspace, number, code):
    hook = f"dict(type='SignalAt', number={int(number)}, iteration=2)"
    with pytest.raises(Interrupted) as interrupted:
        train('broken', hook=hook)
    assert interrupted.value.exit_code == code
    assert 'interrupted after iteration 3' in str(interrupted.value)
    assert 'broken/iter_3.pth' in str(interrupted.value) and '--resume' in str(interrupted.value)
    assert Path('broken/last_checkpoint').read_text().endswith('iter_3.pth')
    train('broken', '--resume')
    train('whole')
    found, expected = weights('broken/iter_5.pth'), weights('whole/iter_5.pth')
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_signal_in_a_validation_saves_the_training_so_far(workspace):
    with pytest.raises(Interrupted) as interrupted:
        train('work', hook=f"dict(type='SignalAt', number={int(signal.SIGINT)}, validation=True)")
    assert 'work/iter_2.pth' in str(interrupted.value)
    assert torch.load('work/iter_2.pth', weights_only=True)['meta']['iter'] == 2


def test_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    with interruption.ending_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_before_the_first_iteration_a_signal_ends_at_once():
    with pytest.raises(Interrupted, match='before the first iteration') as interrupted:
        with interruption.ending_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
    assert interrupted.value.exit_code == 143
