"""The promises that every head keeps."""

import copy
import itertools
import pickle
import re
from pathlib import Path

import pytest
import torch
from head_cases import HEADS, HeadCase, samples
from mmengine.config import Config
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

CONFIGS = Path(__file__).parents[1] / 'local_configs'
DEVICES = [
    'cpu',
    pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')),
]
SIZES = [(64, 96), (65, 90), (104, 72)]


@pytest.fixture(params=HEADS.values(), ids=HEADS.keys())
def case(request: pytest.FixtureRequest) -> HeadCase:
    """Each head in turn."""
    return request.param


def forward(head: nn.Module, inputs: list[Tensor]) -> Tensor:
    """Run the head on feature maps."""
    return head(*arguments(head, inputs))


def arguments(head: nn.Module, inputs: list[Tensor]) -> tuple:
    """What the head takes: feature maps, and behind a coarse stage also the logits of that."""
    if not isinstance(getattr(head, '_orig_mod', head), BaseCascadeDecodeHead):
        return (inputs,)
    x = inputs[-2]
    return inputs, x[:, torch.arange(head.out_channels, device=x.device) % x.shape[1]]


def calibrated(head: nn.Module, inputs: list[Tensor]) -> nn.Module:
    """Give the norms the statistics of the inputs, and switch to evaluation."""
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the exact mean of what it has seen
            module.reset_running_stats()
    with torch.no_grad():
        for _ in range(3):
            forward(head.train(), inputs)
    return head.eval()


def test_builds_from_each_of_its_configs(case: HeadCase) -> None:
    paths = sorted(CONFIGS.glob(case.configs))
    assert paths
    for path in paths:
        cfg = Config.fromfile(path).model.decode_head
        cfg = cfg[-1] if isinstance(cfg, (list, tuple)) else cfg
        assert cfg.type == case.cfg['type'], path
        MODELS.build(cfg)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('size', SIZES)
def test_trains_on_any_size(case: HeadCase, size: tuple, batch: int, device: str) -> None:
    head = case.build().to(device).train()
    inputs = [x.to(device).requires_grad_() for x in case.inputs(batch, *size)]
    targets = [sample.to(device) for sample in samples(batch, *size, num_classes=5)]
    losses = head.loss(*arguments(head, inputs), targets, None)
    loss = sum(value for name, value in losses.items() if 'loss' in name)
    assert torch.isfinite(loss)
    loss.backward()
    without_gradient = {name for name, p in head.named_parameters() if p.grad is None}
    assert without_gradient == set(case.without_gradient)
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


@pytest.mark.parametrize('size', list(itertools.product((32, 33, 47, 64), (32, 61))))
def test_predicts_any_size(case: HeadCase, size: tuple) -> None:
    head = case.build().eval()
    with torch.no_grad():
        inputs = arguments(head, case.inputs(1, *size))
        logits = head.predict(*inputs, [dict(img_shape=size)], None)
    assert logits.shape == (1, 5, *size)
    assert torch.isfinite(logits).all()


def test_refuses_nothing_it_should_take(case: HeadCase) -> None:
    # More than 64 pixels: the single value that a head may pool those to has no instance norm.
    inputs = case.inputs(2, 96, 96)
    for num_classes in (1, 2, 19, 150):
        logits = forward(case.build(num_classes), inputs)
        assert logits.shape[:2] == (2, num_classes)
    for norm_cfg in (dict(type='GN', num_groups=2), dict(type='IN'), dict(type='SyncBN')):
        forward(case.build(norm_cfg=norm_cfg).eval(), inputs)
    forward(case.build(dropout_ratio=0), inputs)
    assert forward(case.build(2, out_channels=1, threshold=0.5), inputs).shape[1] == 1


def test_evaluates_each_image_alone_and_always_alike(case: HeadCase) -> None:
    inputs = [x.double() for x in case.inputs(3, 65, 90)]
    head = calibrated(case.build().double(), inputs)
    with torch.no_grad():
        logits = forward(head, inputs)
        assert torch.equal(logits, forward(head, inputs))
        alone = torch.cat([forward(head, [x[i : i + 1] for x in inputs]) for i in range(3)])
    torch.testing.assert_close(logits, alone, rtol=1e-8, atol=1e-8)


def test_leaves_its_inputs_alone(case: HeadCase) -> None:
    inputs = case.inputs(1, 64, 96)
    before = [x.clone() for x in inputs]
    logits = forward(case.build().eval(), inputs)
    assert logits.is_contiguous(), 'the layout that a head works in is its own affair'
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))
    channels_last = [x.to(memory_format=torch.channels_last) for x in inputs]
    torch.testing.assert_close(forward(case.build().eval(), channels_last), logits)


def test_survives_a_round_trip(case: HeadCase) -> None:
    inputs = case.inputs(2, 64, 64)
    head = calibrated(case.build(), inputs)
    expected = forward(head, inputs)
    other = case.build()
    other.load_state_dict(head.state_dict())
    for twin in (other.eval(), copy.deepcopy(head), pickle.loads(pickle.dumps(head))):
        assert torch.equal(forward(twin, inputs), expected)


def test_loads_released_names(case: HeadCase) -> None:
    head = case.build()
    state = head.state_dict()
    table = head.released_keys
    released = {table.released_key(key): value for key, value in state.items()}
    assert len(released) == len(state)
    released |= {f'{name}.weight': torch.zeros(3) for name in table.unused}
    renamed = set(table.renames)
    assert not any(_paths(key) & renamed for key in state), 'a released path is one of ours too'

    torch.manual_seed(1)
    other = MODELS.build({**case.cfg, 'num_classes': 5})
    other.load_state_dict(released, strict=True)
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items())

    model = nn.ModuleDict({'decode_head': case.build()})
    model.load_state_dict({f'decode_head.{key}': value for key, value in released.items()})
    missing = next(iter(released))
    with pytest.raises(RuntimeError, match=re.escape(table.our_key(missing))):
        other.load_state_dict({key: released[key] for key in released if key != missing})
    with pytest.raises(RuntimeError, match='nonsense'):
        other.load_state_dict({**released, 'nonsense.weight': torch.zeros(1)})


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('device', DEVICES)
def test_autocasts(case: HeadCase, dtype: torch.dtype, device: str) -> None:
    inputs = [x.to(device) for x in case.inputs(2, 64, 96)]
    head = calibrated(case.build().to(device), inputs)
    expected = forward(head, inputs)
    with torch.autocast(device, dtype):
        logits = forward(head, inputs)
    error = (logits.float() - expected).norm() / expected.norm()
    assert error < (0.05 if dtype == torch.bfloat16 else 0.01)
    with torch.autocast(device, dtype):
        forward(head.train(), inputs).float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)


def test_compiles_to_one_graph(case: HeadCase) -> None:
    torch.compiler.reset()
    # In double precision, as the traced pooling sums in another order than the eager one.
    head = case.build(num_classes=3).eval().double()
    graphs = []

    def trace(graph: torch.fx.GraphModule, _: list) -> torch.fx.GraphModule:
        # Tracing alone shows that the graph does not break; code generation would take minutes.
        graphs.append(graph)
        return graph

    compiled = torch.compile(head, fullgraph=True, dynamic=True, backend=trace)
    # No size of the first maps may be a width or the class count: the tracer would unite them.
    for size in ((144, 208), (128, 160), (129, 170)):
        inputs = [x.double() for x in case.inputs(2, *size)]
        with torch.no_grad():
            torch.testing.assert_close(forward(compiled, inputs), forward(head, inputs))
    assert len(graphs) == 1, 'a new size must not mean a new compilation'


def test_explains_bad_arguments(case: HeadCase) -> None:
    for arguments, message in case.bad_arguments:
        with pytest.raises((TypeError, ValueError), match=message):
            case.build(**arguments)


def _paths(key: str) -> set[str]:
    parts = key.split('.')
    return {'.'.join(parts[:end]) for end in range(1, len(parts) + 1)}
