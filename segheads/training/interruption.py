"""Training that ends on a signal as if it had been meant to: with a checkpoint and a sentence."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import distributed

# Ctrl-C, and what Slurm and cloud machines send before they take a machine away.
SIGNALS = tuple(
    getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGUSR1') if hasattr(signal, name)
)
# A process of torchrun gets Ctrl-C from the terminal and once more from torchrun.
SECONDS_OF_ONE_SIGNAL = 5.0
# The live line hides it.
SHOW_CURSOR = b'\x1b[?25h\n'

_received: list[tuple[int, float]] = []
_can_wait = False


class Interrupted(KeyboardInterrupt):
    """The run has ended on a signal.

    Args:
        number (int): The signal.
        message (str): What was saved, and how to continue.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code(number)


def exit_code(number: int) -> int:
    """Returns 130 after Ctrl-C and 143 after a signal of the system, as shells expect."""
    return 128 + (number if number == signal.SIGINT else signal.SIGTERM)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """Lets :class:`InterruptionHook` end a run on Ctrl-C, SIGTERM and SIGUSR1.

    While nothing is trained the first signal ends the process, and a second one always does.

    Raises:
        Interrupted: If a signal came.
    """
    owner = os.getpid()

    def receive(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a worker that loads data: its parent decides when it ends
            return
        now = time.monotonic()
        is_repeated = 'TORCHELASTIC_RUN_ID' in os.environ and any(
            now - before < SECONDS_OF_ONE_SIGNAL for _, before in _received
        )
        is_second = bool(_received) and not is_repeated
        _received.append((number, now))
        if is_second:
            # At once: an exception would wait for whatever computes now.
            if sys.stdout.isatty():
                os.write(sys.stdout.fileno(), SHOW_CURSOR)
            os._exit(exit_code(number))
        if not _can_wait:
            raise Interrupted(number, 'interrupted before the first iteration')

    _received.clear()
    try:
        previous = {number: signal.signal(number, receive) for number in SIGNALS}
    except ValueError:  # outside of the main thread no signal is received
        previous = {}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _set_waiting(False)


@HOOKS.register_module()
class InterruptionHook(Hook):
    """Ends training after the iteration in which a signal came, in all processes together.

    The signal may reach some of the processes only, and each at another time, so after each
    iteration they tell each other, through main memory and without waiting for a GPU.
    """

    # After the checkpoint hook, whose priority it is: custom hooks come behind default ones.
    priority = 'VERY_LOW'

    def before_train(self, runner: Runner) -> None:
        """Lets signals wait for the end of an iteration from now on."""
        self.group = None
        if distributed.is_available() and distributed.is_initialized():
            is_gloo = distributed.get_backend() == 'gloo'
            self.group = (
                distributed.group.WORLD if is_gloo else distributed.new_group(backend='gloo')
            )
        _set_waiting(True)

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Ends the run if a signal has come to any of the processes.

        Args:
            runner (Runner): The runner of the training process.
            *args (object): Not used.
            **kwargs (object): Not used.

        Raises:
            Interrupted: After a checkpoint has been written.
        """
        if number := self._agreed_signal():
            raise Interrupted(number, save_now(runner))

    def after_val_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """Ends the run during its validation; the checkpoint is that of the training so far."""
        if _can_wait and (number := self._agreed_signal()):
            raise Interrupted(number, save_now(runner, is_validating=True))

    def after_train(self, runner: Runner) -> None:
        """Lets signals end the process at once again."""
        _set_waiting(False)

    def _agreed_signal(self) -> int:
        number = _received[0][0] if _received else 0
        if self.group is None:
            return number
        agreed = torch.tensor([number])
        distributed.all_reduce(agreed, distributed.ReduceOp.MAX, self.group)
        return int(agreed)


def save_now(runner: Runner, is_validating: bool = False) -> str:
    """Writes a checkpoint of a run that ends before its time.

    Epoch-based loops of MMEngine resume at the beginning of an epoch, so for them the checkpoint
    that the last epoch ended with is the one to continue from.

    Args:
        runner (Runner): The runner, after an iteration.
        is_validating (bool): Whether the iteration has been counted already. Default: False.

    Returns:
        str: What was saved, and how to continue.
    """
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    done = runner.iter if is_validating else runner.iter + 1
    if not hooks:
        return f'interrupted after iteration {done}; the config has no checkpoint hook to save it'
    hook = hooks[0]
    if runner.train_loop.__class__.__name__ == 'EpochBasedTrainLoop' or hook.by_epoch:
        saved = getattr(hook, 'last_ckpt', None)
    else:
        saved = hook.file_backend.join_path(hook.out_dir, hook.filename_tmpl.format(done))
        if getattr(hook, 'last_ckpt', None) != saved:
            meta = dict(epoch=runner.epoch, iter=done)
            hook._save_checkpoint_with_step(runner, done, meta=meta)
    if saved is None:
        return f'interrupted after iteration {done}, before the first checkpoint'
    return (
        f'interrupted after iteration {done}; to continue from {saved}, give the same command '
        'with --resume'
    )


def _set_waiting(can_wait: bool) -> None:
    global _can_wait
    _can_wait = can_wait
