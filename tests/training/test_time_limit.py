"""A training that lasts as long as it is told to."""

import time
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper, PolyLR

from segheads.training import time_limit
from segheads.training.time_limit import TimeLimitHook


class FakeRunner:
    """What the hook asks a runner for."""

    def __init__(self, loop, scheduler):
        self.train_loop = loop
        self.param_schedulers = [scheduler]
        self.hooks = []
        self.iter = 0

    @property
    def max_iters(self):
        """The number of iterations."""
        return self.train_loop._max_iters


@pytest.mark.parametrize('guess', [15, 4000])
@pytest.mark.parametrize(('iteration', 'validation'), [(0.5, 1.0), (2.0, 0.1), (0.3, 30.0)])
def test_length_and_schedule(monkeypatch, guess, iteration, validation):
    """Whatever the first guess, time is kept, the rate ends at 0, and the end is validated."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time_limit.time, 'monotonic', lambda: clock.now)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    wrapper = OptimWrapper(optimizer)
    scheduler = PolyLR(wrapper, power=0.9, eta_min=0.0, begin=0, end=guess, by_epoch=False)
    loop = SimpleNamespace(_max_iters=guess, val_interval=guess)
    runner = FakeRunner(loop, scheduler)
    hook = TimeLimitHook(minutes=2)
    hook.before_train(runner)
    rates, validated = [], []
    while runner.iter < loop._max_iters:
        clock.now += iteration * (3 if runner.iter == 0 else 1)
        rates.append(optimizer.param_groups[0]['lr'])
        hook.after_train_iter(runner, runner.iter)
        scheduler.step()
        runner.iter += 1
        if runner.iter % loop.val_interval == 0 or runner.iter == loop._max_iters:
            hook.before_val(runner)
            clock.now += validation
            hook.after_val(runner)
            validated.append(runner.iter)
    assert clock.now == pytest.approx(120, rel=0.3 if validation > 10 else 0.05)
    assert validated[-1] == runner.iter
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.1
    assert len(validated) >= (1 if validation > 10 else 3)


def test_clock_of_python_is_used():
    """The real clock starts with the training, not with the process."""
    hook = TimeLimitHook(minutes=1)
    hook.before_train(SimpleNamespace(iter=5))
    assert abs(hook.start - time.monotonic()) < 1
    assert hook.next_look > 5
