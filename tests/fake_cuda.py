"""CUDA tensors without values and without a GPU, and a watch over what would wait for one.

PyTorch's fake tensors have sizes, a data type and a device. What runs on fake CUDA tensors takes
the ways that it takes on a GPU, and what depends on values raises: a host that goes on by them
waits for the GPU first. :class:`CudaWatch` finds the rest, tensors on the CPU and copies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.autograd.graph import Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segheads.losses.label_check import label_check
from segheads.losses.tiled_cross_entropy import compare_tiles

aten = torch.ops.aten
# The last one is a composite of the first, seen where autograd is off.
COPIES = (aten._to_copy.default, aten.copy_.default, aten.to.dtype_layout)


class CudaWatch(TorchDispatchMode):
    """Runs what is called within, our own operators from inside, and lists what would wait.

    Attributes:
        operators (list[tuple]): Each operator with the tensors that it was given, and those made.
        faults (list[str]): What needs values, tensors on the CPU, and copies that wait.
        copies (int): Copies to the host that do not wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[tuple[Any, list[Tensor], list[Tensor]]] = []
        self.faults: list[str] = []
        self.copies = 0
        self._from_inside = {
            torch.ops.segheads.tiled_cross_entropy.default: compare_tiles,
            torch.ops.segheads.labelled_pixels.default: label_check.find_labelled,
        }

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in self._from_inside:
            with self:
                return self._from_inside[function](*args, **kwargs)
        try:
            results = function(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            self.faults.append(f'{function} needs values')
            raise
        given, made = (
            [x for x in tree_leaves(tree) if isinstance(x, Tensor)]
            for tree in ((args, kwargs), results)
        )
        self.operators.append((function, given, made))
        is_fetched = function in COPIES and {x.device.type for x in given} == {'cuda'}
        if is_fetched and made[0].device.type == 'cpu' and kwargs.get('non_blocking'):
            self.copies += 1
        elif any(x.device.type == 'cpu' for x in (*given, *made)):
            self.faults.append(f'{function} on the CPU')
        return results


class _Zeros(TorchDispatchMode):
    """Says 0 where a model, while it is built, asks for a number: rates of stochastic depth."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is aten._local_scalar_dense.default:
            return 0.0
        return function(*args, **(kwargs or {}))


class _Event:
    """An event that the device never reaches."""

    def record(self, stream: object) -> None:
        pass

    def query(self) -> bool:
        return False

    synchronize = record


def skip_where_the_driver_is_asked() -> None:
    """Skips a test where fake CUDA tensors need a GPU, or a PyTorch that was built for one."""
    if not torch.backends.cuda.is_built():
        pytest.skip('this PyTorch was built without CUDA')
    if torch.__version__.startswith('2.6.') and not torch.cuda.is_available():
        pytest.skip('PyTorch 2.6 asks the driver where fake CUDA tensors are indexed or copied')


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    """Makes all tensors fake, and events too."""
    skip_where_the_driver_is_asked()
    monkeypatch.setattr(torch.cuda, 'Event', _Event)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: None)
    with FakeTensorMode() as mode:
        yield mode
    label_check.forget()


def build_on_cuda(cfg: dict) -> nn.Module:
    """Builds a model on the fake device."""
    with _Zeros(), torch.device('cuda'):
        return MODELS.build(cfg)


def labels_on_cuda(batch: int, height: int, width: int, **metainfo: object) -> list[SegDataSample]:
    """Makes samples with labels on the fake device."""
    size = (height, width)
    metainfo = dict(ori_shape=size, img_shape=size, pad_shape=size) | metainfo
    labels = torch.zeros(batch, 1, *size, dtype=torch.long, device='cuda')
    return [SegDataSample(metainfo=metainfo, gt_sem_seg=PixelData(data=label)) for label in labels]


@contextmanager
def autocast_on_cuda(dtype: torch.dtype) -> Iterator[None]:
    """Switches autocast on; ``torch.autocast`` does not where there is no GPU."""
    before = torch.get_autocast_dtype('cuda')
    torch.set_autocast_enabled('cuda', True)
    torch.set_autocast_dtype('cuda', dtype)
    try:
        yield
    finally:
        torch.set_autocast_enabled('cuda', False)
        torch.set_autocast_dtype('cuda', before)
        torch.clear_autocast_cache()


def backward(loss: Tensor) -> None:
    """Computes gradients as ``loss.backward()``, whose engine asks the driver for the GPU.

    The operators of the backward pass, and so the devices and data types, are PyTorch's own.

    Args:
        loss (Tensor): A scalar.
    """
    gradients: dict[Node, dict[int, Tensor]] = {loss.grad_fn: {0: torch.ones_like(loss)}}
    for node in _from_loss_to_leaves(loss.grad_fn):
        given = gradients.pop(node, None)
        if given is None:
            continue
        if hasattr(node, 'variable'):
            leaf = node.variable
            leaf.grad = given[0] if leaf.grad is None else leaf.grad + given[0]
            continue
        inputs = [given.get(index) for index in range(len(node._input_metadata))]
        outputs = node.apply(*inputs) if hasattr(node, 'apply') else node(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        # A function in Python answers for arguments that are no tensors, too; they come last.
        for (after, index), gradient in zip(node.next_functions, outputs, strict=False):
            if after is None or gradient is None:
                continue
            is_leaf = hasattr(after, 'variable')
            shape = after.variable.shape if is_leaf else after._input_metadata[index].shape
            gradient = gradient.sum_to_size(shape)
            sums = gradients.setdefault(after, {})
            sums[index] = sums[index] + gradient if index in sums else gradient


def _from_loss_to_leaves(root: Node) -> list[Node]:
    """Lists the nodes of a graph, each before those that it hands its gradients to."""
    finished, seen = [], {root}
    path = [(root, iter(root.next_functions))]
    while path:
        node, following = path[-1]
        for after, _ in following:
            if after is not None and after not in seen:
                seen.add(after)
                path.append((after, iter(after.next_functions)))
                break
        else:
            finished.append(node)
            path.pop()
    return finished[::-1]
