"""A training that lasts as long as it is told to, with the schedule of one that was meant to."""

import time
from typing import Any

from mmengine.dist import broadcast_object_list
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

FIRST_LOOK, WARM_UP = 6, 2
# Between two looks passes this part of the time that is left.
SHARE_BETWEEN_LOOKS = 0.1
VALIDATIONS = 4
# A validation that takes longer than this part of all time comes once, at the end.
LARGEST_SHARE_OF_VALIDATION = 0.05


@HOOKS.register_module()
class TimeLimitHook(Hook):
    """Sets the number of iterations so that training, with its validations, fills a given time.

    It measures how long iterations and validations take, from the first ones on, and moves the end
    of the run and of its parameter schedulers accordingly. As MMEngine's schedulers compute each
    value from the one before, a learning rate that decays to zero still does, without a step, and
    the run ends with a validation. A run that is resumed gets the time once more.

    Args:
        minutes (float): The time.
        validations_after (int): Validations that come after the run, such as that of a report, and
            for which time is kept. Default: 0.
        began (float | None): When the time began to count, in seconds since 1970; of what has
            passed since then half of the time is taken at most. Default: None, for the first
            iteration.
    """

    # Before the hooks that act on the last iteration.
    priority = 'VERY_HIGH'

    def __init__(
        self, minutes: float, validations_after: int = 0, began: float | None = None
    ) -> None:
        self.limit = 60 * minutes
        self.began = began
        self.validations_after = validations_after
        self.validation_seconds = 0.0
        self.seconds_in_validations = 0.0
        self.num_validations = 0

    def before_train(self, runner: Runner) -> None:
        """Starts the clock."""
        now = time.monotonic()
        spent = 0.0 if self.began is None else min(time.time() - self.began, self.limit / 2)
        self.start = now - spent
        self.warm = self.validation_start = now
        self.first = runner.iter
        self.next_look = self.first + FIRST_LOOK

    def before_val(self, runner: Runner) -> None:
        """Notes when a validation begins."""
        self.validation_start = time.monotonic()

    def after_val(self, runner: Runner) -> None:
        """Notes how long a validation took, and looks again, since it changes the estimate."""
        self.validation_seconds = time.monotonic() - self.validation_start
        self.seconds_in_validations += self.validation_seconds
        self.num_validations += 1
        self.next_look = runner.iter + 1

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Moves the end of the run, in all processes alike."""
        done = runner.iter + 1
        if done == self.first + WARM_UP:
            self.warm = time.monotonic()
        if done < self.next_look or done >= runner.max_iters:
            return
        decided = [self._decide(done)]
        broadcast_object_list(decided)
        end, validation, self.next_look = decided[0]
        move_end(runner, end)
        validate_next_at(runner, validation)

    def _decide(self, done: int) -> tuple[int, int, int]:
        """Returns the last iteration, that of the next validation, and that of the next look."""
        now = time.monotonic()
        measured = max(done - self.first - WARM_UP, 1)
        seconds = max(now - self.warm - self.seconds_in_validations, 1e-3) / measured
        spent = now - self.start
        is_rare = self.validation_seconds > LARGEST_SHARE_OF_VALIDATION * self.limit
        validations_left = 1 if is_rare else max(1, VALIDATIONS - self.num_validations)
        kept = self.validation_seconds * (validations_left + self.validations_after)
        left = max(self.limit - spent - kept, 0.0)
        end = done + int(left / seconds)
        look = done + max(1, int(left * SHARE_BETWEEN_LOOKS / seconds))
        if validations_left == 1:
            return end, end, look
        until_validation = self.limit * (self.num_validations + 1) / VALIDATIONS - spent
        validation = done + max(1, int(until_validation / seconds))
        return end, min(validation, end), look


def move_end(runner: Runner, end: int) -> None:
    """Moves the end of a run over iterations, and of the schedulers that end with it.

    Args:
        runner (Runner): The runner, while it trains.
        end (int): The number of iterations.
    """
    before = runner.max_iters
    runner.train_loop._max_iters = end
    for scheduler in runner.param_schedulers:
        if scheduler.end >= before and hasattr(scheduler, 'total_iters'):
            scheduler.end = end
            scheduler.total_iters = end - scheduler.begin - 1


def validate_next_at(runner: Runner, iteration: int) -> None:
    """Sets which iteration a validation and a checkpoint come after.

    Args:
        runner (Runner): The runner, while it trains.
        iteration (int): Its number, counted from 1. As an interval it has no multiple before.
    """
    loop = runner.train_loop
    # Where MMEngine's loops take the interval from, before each iteration.
    loop.dynamic_milestones, loop.dynamic_intervals = [0], [iteration]
    loop.val_interval = iteration
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            hook.interval = iteration
