"""Weights, inputs and expected numbers of the golden cases.

A golden case holds what the authors' own code computes on weights, inputs and labels that anyone
can rebuild from names and shapes by the rules below. ``tests/golden/*.json`` keeps losses and
gradient norms whole, and of each array 128 evenly spaced values (first and last included).
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent / 'golden'


def load_case(name: str) -> dict:
    """Read a golden case."""
    return json.loads((FOLDER / f'{name}.json').read_text())


def fill(shapes: Mapping[str, Iterable[int]]) -> dict[str, Tensor]:
    """Draw a state dict from the released names and shapes of its tensors."""
    state = {}
    for name, shape in shapes.items():
        shape = tuple(shape)
        leaf = name.rsplit('.', 1)[-1]
        rng = _rng(name)
        if leaf == 'num_batches_tracked':
            value = np.zeros(shape, dtype=np.int64)
        elif leaf == 'running_mean':
            value = 0.1 * rng.standard_normal(shape)
        elif leaf == 'running_var':
            value = 0.5 + rng.random(shape)
        elif len(shape) <= 1 and leaf == 'weight':
            value = 1.0 + 0.1 * rng.standard_normal(shape)
        elif len(shape) <= 1:
            value = 0.1 * rng.standard_normal(shape)
        else:
            value = rng.standard_normal(shape) / np.sqrt(max(1, int(np.prod(shape[1:]))))
        state[name] = torch.from_numpy(
            np.asarray(value if value.dtype == np.int64 else value.astype(np.float32))
        )
    return state


def released_state(module: nn.Module, released_key: Callable[[str], str]) -> dict[str, Tensor]:
    """Draw the state dict of a module under its released names."""
    return fill({released_key(key): t.shape for key, t in module.state_dict().items()})


def features(shapes: Iterable[Iterable[int]], tag: str = 'feature') -> list[Tensor]:
    """Draw backbone feature maps (or images, tag 'image'), each (B, C, H, W)."""
    return [
        torch.from_numpy(
            _rng(f'{tag}{i}{tuple(shape)}').standard_normal(tuple(shape)).astype(np.float32)
        )
        for i, shape in enumerate(shapes)
    ]


def labels(
    shape: Iterable[int],
    num_classes: int,
    ignore_index: int = 255,
    ignored: float = 0.1,
    tag: str = 'label',
) -> Tensor:
    """Draw a blocky label map (B, H, W) of which a share is ignored."""
    batch, height, width = shape
    rng = _rng(f'{tag}{(batch, height, width)}{num_classes}')
    coarse = rng.integers(0, num_classes, (batch, (height + 15) // 16, (width + 15) // 16))
    label = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width].copy()
    label[rng.random((batch, height, width)) < ignored] = ignore_index
    return torch.from_numpy(label.astype(np.int64))


def sample(array: Tensor) -> Tensor:
    """Take the 128 values that the golden files keep of an array."""
    flat = array.detach().reshape(-1)
    return flat[np.linspace(0, flat.numel() - 1, 128).round().astype(int)]


def assert_matches(case: dict, name: str, array: Tensor, atol: float) -> None:
    """Compare an array with the golden one of that name."""
    expected = case['samples'][name]
    assert list(array.shape) == expected['shape']
    torch.testing.assert_close(
        sample(array).double(), torch.tensor(expected['values']).double(), rtol=0, atol=atol
    )


def _rng(text: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(text.encode()))
