"""1x1 convolutions at the full speed of a CPU."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segheads.layers import PointwiseConv2d, pointwise_conv2d
from segheads.layers.pointwise_conv import HAS_ONEDNN


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('size', [(7, 5), (64, 48)])
@pytest.mark.parametrize('bias', [None, torch.linspace(-1, 1, 6, dtype=torch.float64)])
def test_computes_a_convolution(size, layout, bias, one_thread):
    x = torch.randn(2, 8, *size, dtype=torch.float64)
    weight = torch.randn(6, 8, 1, 1, dtype=torch.float64)
    expected = results(F.conv2d, x, weight, bias)
    x = x.to(torch.float32, memory_format=layout)
    bias = None if bias is None else bias.float()
    for ours, reference in zip(
        results(pointwise_conv2d, x, weight.float(), bias), expected, strict=True
    ):
        assert (ours - reference).abs().max() < 1e-5 * reference.abs().max()


def results(convolve, x, weight, bias):
    """Returns the convolution and its gradients."""
    x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
    y = convolve(x, weight, bias)
    y.square().sum().backward()
    return y, x.grad, weight.grad


@pytest.mark.skipif(not HAS_ONEDNN, reason='PyTorch has no oneDNN here')
def test_takes_onednn_where_it_pays(one_thread):
    conv = nn.Sequential(nn.Conv2d(8, 8, 1))
    PointwiseConv2d.convert(conv)
    assert kernels(conv, torch.randn(1, 8, 64, 64)) == {'aten::mkldnn_convolution'}
    assert kernels(conv, torch.randn(1, 8, 8, 8)) == {'aten::_slow_conv2d_forward'}


def kernels(module, x):
    """Names what computes the convolutions of a module."""
    known = {'aten::mkldnn_convolution', 'aten::_slow_conv2d_forward', 'aten::slow_conv_dilated2d'}
    with torch.profiler.profile() as profile, torch.no_grad():
        module(x)
    return {event.name for event in profile.events()} & known


def test_traces_keep_an_ordinary_convolution(one_thread):
    conv = nn.Sequential(nn.Conv2d(8, 8, 1))
    PointwiseConv2d.convert(conv)
    x = torch.randn(1, 8, 64, 64)
    program = torch.export.export(conv.eval(), (x,))
    script = torch.jit.trace(conv, x)
    assert 'conv' in str(program.graph) and '[2, 2]' not in str(program.graph)
    assert 'conv' in str(script.inlined_graph) and 'value=2' not in str(script.inlined_graph)


def test_converts_what_is_no_more_than_pointwise():
    convs = [
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3),
        nn.Conv2d(4, 4, 1, stride=2),
        nn.Conv2d(4, 4, 1, padding=1),
        nn.Conv2d(4, 4, 1, groups=4),
    ]
    state = [parameter for conv in convs for parameter in conv.parameters()]
    PointwiseConv2d.convert(nn.ModuleList(convs))
    assert [type(conv) is PointwiseConv2d for conv in convs] == [True] + [False] * 4
    assert all(
        one is other
        for one, other in zip(state, (p for conv in convs for p in conv.parameters()), strict=True)
    )
