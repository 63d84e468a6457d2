"""A whole training step, from images to the losses and accuracies in the log, is one graph."""

from collections.abc import Sequence

import pytest
import torch
from head_cases import HEADS, HeadCase, samples
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

# That of the shipped models: the accuracy of MMSegmentation beside its own loss selects pixels.
LOSS = dict(type='UpsampledCrossEntropyLoss')
COARSE_HEAD = dict(
    type='FCNHead',
    num_convs=0,
    concat_input=False,
    num_classes=5,
    loss_decode=dict(LOSS, class_weight=[0.1, 1, 2, 1, 1]),
)


class Levels(nn.Module):
    """An encoder of a convolution per level."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Conv2d(3, width, stride, stride=stride)
            for width, stride in zip(widths, (4, 8, 16, 32), strict=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        return [level(images) for level in self.levels]


def segmentor(case: HeadCase, loss_decode: dict = LOSS) -> nn.Module:
    head = dict(case.cfg, num_classes=5, loss_decode=loss_decode)
    cfg = dict(type='LeanEncoderDecoder', decode_head=head)
    if case.cfg['type'] == 'CCSNetHead':  # it refines the logits of another head
        width = case.widths[2]
        coarse = dict(COARSE_HEAD, in_channels=width, channels=width, in_index=2)
        cfg = dict(type='LeanCascadeEncoderDecoder', num_stages=2, decode_head=[coarse, head])
    torch.manual_seed(0)
    backbone = dict(type=Levels, widths=case.widths)
    return MODELS.build(ConfigDict(cfg, backbone=backbone, train_cfg={}, test_cfg={})).double()


def of_known_sizes(graph: GraphModule, _: list) -> GraphModule:
    """Runs a graph as it is; no size in it may depend on values, which stops code generation."""
    values = [node.meta.get('example_value') for node in graph.graph.nodes]
    assert len(values) > 20
    assert not any(free_unbacked_symbols(x) for x in values if isinstance(x, Tensor))
    return graph


def assert_one_graph_and_the_same_step(model: nn.Module, size: tuple[int, int] = (64, 96)) -> None:
    torch.compiler.reset()
    images, labelled = torch.randn(2, 3, *size).double(), samples(2, *size, 5)

    def step(images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return model.parse_losses(model.loss(images, labelled))

    results = []
    for run in (step, torch.compile(step, fullgraph=True, backend=of_known_sizes)):
        torch.manual_seed(0)  # for dropout
        loss, logs = run(images)
        parameters = [p for p in model.parameters() if p.requires_grad]
        results.append((logs, torch.autograd.grad(loss, parameters, allow_unused=True)))
    torch.testing.assert_close(*(logs for logs, _ in results))
    assert any(name.endswith('acc_seg') for name in results[0][0])
    for expected, found in zip(*(gradients for _, gradients in results), strict=True):
        assert (expected is None) == (found is None)
        if expected is not None:
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize('case', HEADS.values(), ids=HEADS.keys())
def test_a_training_step_is_one_graph_and_the_same(case: HeadCase) -> None:
    assert_one_graph_and_the_same_step(segmentor(case).train())


@pytest.mark.parametrize(
    'loss_decode',
    [
        dict(type='OHEMCrossEntropyLoss', min_kept=100),
        dict(LOSS, avg_non_ignore=True, implementation='full'),
    ],
    ids=['hard', 'full'],
)
def test_other_losses_are_in_the_graph_too(loss_decode: dict) -> None:
    assert_one_graph_and_the_same_step(
        segmentor(HEADS['pcaa-stages'], loss_decode).train(), (67, 101)
    )


@pytest.mark.parametrize('loss_type', ['UpsampledCrossEntropyLoss', 'OHEMCrossEntropyLoss'])
def test_the_backward_pass_of_a_loss_is_one_graph(loss_type: str) -> None:
    torch.compiler.reset()
    loss_decode = MODELS.build(dict(type=loss_type))
    logits = torch.randn(2, 5, 6, 9).requires_grad_()
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in samples(2, 24, 36, 5)])

    def loss(logits: Tensor) -> Tensor:
        return loss_decode(2 * logits, labels)

    compiled = torch.compile(loss, fullgraph=True, backend='aot_eager')
    (expected,) = torch.autograd.grad(loss(logits), logits)
    (found,) = torch.autograd.grad(compiled(logits), logits)
    torch.testing.assert_close(found, expected)
