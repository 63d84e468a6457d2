"""The order of the channels in memory is measured on the first batch, and nothing else changes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import HOOKS, MODELS
from tiny_run import FROM_SCRATCH, forget_visualizers, load_tool, sentence
from torch import Tensor, nn

from segheads.layers.fastest_implementation import Cost
from segheads.training import ChannelsLastHook, memory_format
from segheads.training.memory_format import MemoryFormat, _unchanged, request_channels_last

SEED = ['randomness.seed=0', 'train_dataloader.sampler.seed=0']


@HOOKS.register_module(force=True)
class Watcher(Hook):
    """Notes in which order a run has its images and weights in each iteration."""

    seen: list[tuple[bool, bool]] = []

    def before_train(self, runner: object) -> None:
        def note(module: nn.Module, inputs: tuple[Tensor]) -> None:
            weight = next(p for p in module.parameters() if p.dim() == 4 and min(p.shape) > 1)
            self.seen.append((is_last(inputs[0]), is_last(weight)))

        runner.model.backbone.layers[0][0].register_forward_pre_hook(note)


def is_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def first_loss(folder: str) -> float:
    (log,) = Path(folder).glob('2*/vis_data/scalars.json')
    return json.loads(log.read_text().splitlines()[0])['loss']


@pytest.fixture
def train(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Trains as on a GPU on which each order takes a time that is known."""

    def train(folder: str, choice: str = 'auto', last: float = 1, first: float = 2, *options: str):
        forget_visualizers()
        Watcher.seen = []
        times = iter([last, first])

        def measure(run: Callable[[], object]) -> Cost:
            for _ in range(2):
                run()
            return Cost(next(times), extra_bytes=9, free_bytes=10)

        monkeypatch.setattr(memory_format, 'is_on_gpu', lambda model: True)
        monkeypatch.setattr(ChannelsLastHook.__init__, '__defaults__', ('auto', measure))
        Path('hooks.py').write_text("_base_ = 'tiny.py'\ncustom_hooks = [dict(type='Watcher')]")
        arguments = ['hooks.py', '--work-dir', folder, *FROM_SCRATCH, *SEED, *options]
        if choice != 'auto':
            arguments += ['--channels-last', choice]
        load_tool('train').main(arguments)
        return torch.load(f'{folder}/iter_2.pth', weights_only=False)['state_dict'], Watcher.seen

    return train


def test_the_faster_order_stays_and_measuring_leaves_no_trace(train: Callable) -> None:
    expected, seen = train('plain', 'off', 1, 2, '--amp')
    assert seen == [(False, False)] * 4  # two iterations and two images of the validation
    actual, seen = train('first', 'auto', 2, 1, '--amp')
    assert seen == [(True, True)] * 2 + [(False, False)] * (2 + 4)
    assert list(actual) == list(expected)
    assert all(torch.equal(actual[name], expected[name]) for name in expected)

    actual, seen = train('last', 'auto', 1, 2, '--amp')
    assert seen == [(True, True)] * 2 + [(False, False)] * 2 + [(True, True)] * 4
    # In 16 bits norms of a few values tell rounding apart; the loss is that of the first step.
    losses = [first_loss(folder) for folder in ('plain', 'last')]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_nothing_is_measured_without_autocast(train: Callable) -> None:
    assert train('plain')[1] == [(False, False)] * 4


def test_the_order_that_is_asked_for(train: Callable) -> None:
    assert train('on', 'on')[1] == [(True, True)] * 4


@pytest.fixture
def model(cfg: Config) -> nn.Module:
    cfg.model.backbone.init_cfg = None
    return revert_sync_batchnorm(MODELS.build(cfg.model)).train()


def test_distributed_training_keeps_the_order_of_the_parameters(model: nn.Module) -> None:
    seen = []
    model.backbone.register_forward_hook(lambda _, inputs, output: seen.append(is_last(*inputs)))
    image = torch.zeros(2, 3, 32, 32)
    for keep_parameters in (True, False):
        order = MemoryFormat(model, keep_parameters)
        for channels_last in (True, False):
            order.set(channels_last)
            model.extract_feat(image)
            assert seen.pop() == channels_last
            turned = any(is_last(p) for p in model.parameters() if p.dim() == 4)
            assert turned == (channels_last and not keep_parameters)


def test_norms_of_several_processes_do_not_wait_for_each_other(model: nn.Module) -> None:
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with _unchanged(model, distributed=True):
        assert not any(norm.training for norm in norms)
        assert model.decode_head.training
    with pytest.raises(KeyError), _unchanged(model, distributed=False):
        assert all(norm.training for norm in norms)
        raise KeyError
    assert all(norm.training for norm in norms)


@pytest.mark.parametrize('choice', ['auto', 'on', 'off'])
def test_a_hook_in_the_config(choice: str) -> None:
    cfg = Config(dict(custom_hooks=[dict(type='CompileHook')]))
    request_channels_last(cfg, choice)
    added = [] if choice == 'off' else [dict(type='ChannelsLastHook', choice=choice)]
    assert cfg.custom_hooks == [dict(type='CompileHook'), *added]
    request_channels_last(cfg, 'on')
    assert len(cfg.custom_hooks) == 2


def test_explains_an_unknown_choice() -> None:
    told = sentence(request_channels_last, Config(), 'of')
    assert (
        told == "channels_last is 'of', but must be one of 'auto', 'on', 'off'; did you mean off?"
    )
    assert "choice is 'of', but must be 'auto' or 'on'" in sentence(ChannelsLastHook, 'of')
