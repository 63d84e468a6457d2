"""Compiled networks train and test as they do otherwise."""

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from head_cases import HEADS, HeadCase, samples
from mmseg.models.segmentors import BaseSegmentor
from test_contract import arguments
from tiny_run import FROM_SCRATCH, command, forget_visualizers
from torch import nn

import segheads
from segheads.configs.loading import load_config
from segheads.training.compilation import compile_network, compile_networks, request_compilation


@pytest.fixture
def eager(monkeypatch):
    """Tracing alone, since code generation takes minutes; lists the graphs."""
    torch.compiler.reset()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph

    compile_ = torch.compile
    monkeypatch.setattr(
        torch, 'compile', lambda function, **options: compile_(function, backend=backend, **options)
    )
    return graphs


def run(name: str, *arguments: str) -> list[dict]:
    """Run a tool and return what it has logged."""
    forget_visualizers()
    command(name)(['tiny.py', *arguments])
    work_dir = Path(arguments[arguments.index('--work-dir') + 1])
    log = max(work_dir.glob('2*/vis_data/*.json' if name == 'train' else '2*/2*.json'))
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_compiled_run_is_the_same_run(workspace, eager):
    seed = ['randomness.seed=0', 'train_dataloader.sampler.seed=0']
    logs = {}
    for folder, option in (('plain', []), ('compiled', ['--compile'])):
        logs[folder] = run('train', *option, '--work-dir', folder, *FROM_SCRATCH, *seed)
        assert bool(eager) == (folder == 'compiled')
    for plain, compiled in zip(logs['plain'], logs['compiled'], strict=True):
        if 'loss' in plain:
            assert compiled['loss'] == pytest.approx(plain['loss'], rel=1e-4)
        if 'mIoU' in plain:
            # Pooling sums in another order, and a pixel of scores almost equal changes its class.
            assert compiled['mIoU'] == pytest.approx(plain['mIoU'], abs=0.1)
    states = [
        torch.load(f'{folder}/iter_2.pth', weights_only=False)['state_dict'] for folder in logs
    ]
    assert list(states[0]) == list(states[1])

    tested = [
        run('test', 'compiled/iter_2.pth', *option, '--work-dir', 'tested')[-1]['mIoU']
        for option in ([], ['--compile'])
    ]
    assert tested[0] == pytest.approx(tested[1], abs=0.1)


def test_a_config_may_have_the_hook_by_itself(workspace):
    cfg = load_config('tiny.py')
    cfg.custom_hooks = [dict(type='CompileHook', mode='max-autotune')]
    request_compilation(cfg, True)
    assert cfg.custom_hooks == [dict(type='CompileHook', mode='max-autotune')]


@pytest.mark.parametrize('case', HEADS.values(), ids=HEADS.keys())
def test_a_head_trains_in_one_graph_for_all_sizes(case: HeadCase, eager: list) -> None:
    head = case.build(dropout_ratio=0)
    plain = case.build(dropout_ratio=0)

    class Segmentor(BaseSegmentor):
        """The least of a segmentor: heads are compiled as parts of one."""

        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.decode_head = head

        extract_feat = encode_decode = loss = predict = _forward = None

    compile_networks(Segmentor(), fullgraph=True)
    compile_networks(Segmentor(), fullgraph=True)
    for size in ((144, 208), (128, 160), (129, 170)):
        inputs = case.inputs(2, *size)
        targets = samples(2, *size, num_classes=5)
        losses = []
        for network in (head, plain):
            torch.manual_seed(0)
            losses.append(network.loss(*arguments(network, inputs), targets, None))
        torch.testing.assert_close(*losses)
    assert len(eager) <= 2, 'a new size must not mean a new compilation, but once'
    assert list(head.state_dict()) == list(plain.state_dict())


def pickled(network: nn.Module) -> nn.Module:
    return pickle.loads(pickle.dumps(network))


@pytest.mark.parametrize('copied', [copy.deepcopy, pickled])
def test_a_copy_of_a_compiled_network_runs_its_own_weights(copied) -> None:
    network = nn.Sequential(nn.Linear(2, 2))
    compile_network(network, backend='eager')
    inputs = torch.ones(1, 2)
    before = network(inputs)
    copy_ = copied(network)
    assert torch.equal(copy_(inputs), before)
    with torch.no_grad():
        for weight in copy_.parameters():
            weight.zero_()
    assert not copy_(inputs).any() and torch.equal(network(inputs), before)
    assert copied(network).double()(inputs.double()).dtype == torch.float64


@pytest.mark.filterwarnings('ignore:no checkpoint was given')
def test_a_fused_copy_of_a_compiled_model_runs_fused() -> None:
    model = segheads.load('ccaseg_b0_synthetic_demo', device='cpu')
    compile_networks(model, backend='eager')
    fused = segheads.fuse(model)
    assert fused.decode_head.forward.network is fused.decode_head
    assert model.decode_head.forward.network is model.decode_head
