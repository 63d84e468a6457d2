"""The learning rate and weight decay of every parameter are those of the authors' training."""

from collections import Counter
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

CONFIGS = Path(__file__).resolve().parents[1] / 'local_configs' / 'ccaseg'

# Parameter tensors per (learning rate, weight decay), counted in the released models.
RELEASED_COUNTS = {
    'B0/ccaseg.b0.512x512.ade.160k.py': {(6e-5, 0.01): 108, (6e-5, 0.0): 52, (6e-4, 0.01): 685},
    'B1/ccaseg.b1.512x512.ade.160k.py': {(6e-5, 0.01): 108, (6e-5, 0.0): 52, (6e-4, 0.01): 685},
    'tiny/ccaseg.tiny.512x512.ade.160k.py': {
        (6e-5, 0.01): 378,
        (6e-5, 0.0): 66,
        (6e-4, 0.01): 643,
    },
    'small/ccaseg.small.512x512.ade.160k.py': {
        (6e-5, 0.01): 294,
        (6e-5, 0.0): 54,
        (6e-4, 0.01): 505,
    },
}
# Released head tensors that take no part in the forward pass and that ours does not have: weight
# and bias of `conv_seg`; in tiny and small also two injections of two convolutions with a norm.
DEAD_TENSORS = {'B0': 2, 'B1': 2, 'tiny': 2 + 12, 'small': 2 + 12}


def released_rule(name: str) -> tuple[float, float]:
    """Learning rate and weight decay of a parameter, from its name in the released model."""
    if 'head' in name:
        return 6e-4, 0.01
    if 'norm' in name:
        return 6e-5, 0.0
    return 6e-5, 0.01


@pytest.fixture(scope='module', params=RELEASED_COUNTS, ids=lambda path: path.split('/')[0])
def trained_model(request):
    config = Config.fromfile(CONFIGS / request.param)
    init_default_scope(config.default_scope)
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    # As a plain dict: PyTorch reads the hundreds of groups quadratically often.
    optimizer = build_optim_wrapper(model, config.optim_wrapper.to_dict()).optimizer
    settings = {
        id(parameter): (group['lr'], group['weight_decay'])
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    return request.param, model, optimizer, settings


def released_name(model, name: str) -> str:
    prefix = 'decode_head.'
    if not name.startswith(prefix):
        return name
    return prefix + model.decode_head.released_keys.released_key(name.removeprefix(prefix))


def test_every_parameter_is_trained_as_released(trained_model):
    _, model, _, settings = trained_model
    actual = {name: settings[id(p)] for name, p in model.named_parameters()}
    expected = {name: released_rule(released_name(model, name)) for name in actual}
    wrong = {
        name: (actual[name], expected[name])
        for name in actual
        if actual[name] != pytest.approx(expected[name], rel=1e-12)
    }
    assert not wrong


def test_group_sizes_are_those_of_the_release(trained_model):
    path, model, _, settings = trained_model
    counts = Counter(
        (round(lr, 12), decay) for lr, decay in (settings[id(p)] for p in model.parameters())
    )
    expected = dict(RELEASED_COUNTS[path])
    expected[6e-4, 0.01] -= DEAD_TENSORS[path.split('/')[0]]
    assert counts == expected


def test_optimizer_is_the_released_adamw(trained_model):
    _, model, optimizer, settings = trained_model
    assert type(optimizer).__name__ == 'AdamW'
    assert {group['betas'] for group in optimizer.param_groups} == {(0.9, 0.999)}
    assert {group['eps'] for group in optimizer.param_groups} == {1e-8}
    assert len(settings) == len(list(model.parameters()))
