"""Mixed precision on the device there is."""

import pytest
import torch
from mmengine.config import Config
from tiny_run import sentence
from torch import nn

from segheads.training import AutocastOptimWrapper
from segheads.training.precision import choose_precision


@pytest.mark.parametrize(
    'device, wrapper, mixed, expected',
    [
        ('cpu', 'OptimWrapper', False, 'OptimWrapper'),
        ('cpu', 'OptimWrapper', True, 'AutocastOptimWrapper'),
        ('cpu', 'AmpOptimWrapper', False, 'AutocastOptimWrapper'),
        ('cuda', 'OptimWrapper', True, 'AmpOptimWrapper'),
        ('cuda', 'AmpOptimWrapper', True, 'AmpOptimWrapper'),
    ],
)
def test_mixed_precision_follows_the_device(monkeypatch, device, wrapper, mixed, expected):
    monkeypatch.setattr('segheads.training.precision.get_device', lambda: device)
    cfg = Config(dict(optim_wrapper=dict(type=wrapper)))
    choose_precision(cfg, mixed)
    assert cfg.optim_wrapper.type == expected


def test_mixed_precision_of_another_wrapper():
    cfg = Config(dict(optim_wrapper=dict(type='ApexOptimWrapper')))
    assert 'ApexOptimWrapper' in sentence(choose_precision, cfg, True)


def test_autocast_casts_and_trains():
    model = nn.Linear(4, 1)
    before = model.weight.detach().clone()
    wrapper = AutocastOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    torch.testing.assert_close(model.weight.detach(), before - 0.2)
    with pytest.raises(ValueError, match='dtype must be'):
        AutocastOptimWrapper(dtype='int8', optimizer=wrapper.optimizer)
