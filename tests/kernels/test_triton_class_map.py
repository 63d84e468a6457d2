"""The kernel finds the classes that PyTorch's operators find."""

import os

import pytest
import torch
from torch import Tensor

from segheads.layers.resized_side import ResizedSide, resize_weights
from segheads.layers.triton_class_map import find_taps, triton_class_map
from segheads.segmentors.fastest_class_map import full_size_class_map
from segheads.segmentors.tiled_prediction import _windows

DEVICE = 'cpu' if os.environ.get('TRITON_INTERPRET') == '1' else 'cuda'


def draw(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)


def weights(cells: int, extent: int, align_corners: bool = False) -> Tensor:
    return resize_weights(torch.eye(cells, device=DEVICE), extent, align_corners)


def window_weights(cells: int, extent: int, window: int, stride: int, original: int) -> Tensor:
    """Weights of the cells of overlapping windows in the original image."""
    windows = _windows(extent, window, stride)
    side = ResizedSide.of_windows(cells, windows, False, torch.float32, torch.device(DEVICE))
    return side.resize(original, False).weights


def assert_same(logits: Tensor, row_weights: Tensor, column_weights: Tensor) -> None:
    classes = triton_class_map(logits, row_weights, column_weights)
    expected = full_size_class_map(logits.double(), row_weights.double(), column_weights.double())
    assert classes.dtype == expected.dtype
    assert torch.equal(classes, expected)


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('num_classes', [2, 5, 19])
def test_whole_images(num_classes: int, align_corners: bool) -> None:
    assert_same(
        draw(num_classes, 3, 5), weights(3, 11, align_corners), weights(5, 17, align_corners)
    )


def test_more_pixels_than_a_block_has() -> None:
    assert_same(draw(3, 1, 20), weights(1, 2), weights(20, 140))


def test_a_thousand_classes() -> None:
    assert_same(draw(1000, 2, 2), weights(2, 2), weights(2, 5))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    assert_same(draw(5, 3, 4, dtype=dtype), weights(3, 7), weights(4, 9))


def test_overlapping_windows_in_an_image_of_another_size() -> None:
    rows = window_weights(4, 20, window=16, stride=4, original=13)
    columns = window_weights(6, 36, window=24, stride=6, original=23)
    assert find_taps(columns).count.max() > 4
    assert_same(draw(5, len(rows), len(columns)), rows, columns)


def test_a_rectangle_of_the_image() -> None:
    logits, rows, columns = draw(5, 3, 5), weights(3, 11), weights(5, 17)
    whole = triton_class_map(logits, rows, columns)
    part = triton_class_map(logits, rows[:, 4:9], columns[:, 2:13].flip(1))
    assert torch.equal(part, whole[:, 4:9, 2:13].flip(2))


def test_the_first_of_equal_classes() -> None:
    logits = torch.zeros(20, 2, 3, device=DEVICE)
    logits[[3, 9, 17]] = 1
    assert (triton_class_map(logits, weights(2, 4), weights(3, 7)) == 3).all()


def test_what_is_no_number_is_the_highest() -> None:
    logits = draw(20, 3, 4)
    logits[11, 1, 2] = float('nan')
    classes = triton_class_map(logits, weights(3, 3), weights(4, 4))
    assert torch.equal(classes[0], logits.argmax(dim=0))


def test_taps_are_the_weights_that_are_not_zero() -> None:
    matrix = window_weights(6, 36, window=24, stride=6, original=23)
    taps = find_taps(matrix)
    rebuilt = torch.zeros_like(matrix)
    for index in range(int(taps.count.max())):
        is_tap = (index < taps.count).float()
        rebuilt.scatter_add_(
            0, taps.cell[index : index + 1].long(), taps.weight[index : index + 1] * is_tap
        )
    assert torch.equal(rebuilt, matrix)


def test_operator_is_what_pytorch_expects() -> None:
    arguments = draw(2, 2, 2), weights(2, 3), weights(2, 3)
    torch.library.opcheck(torch.ops.segheads.class_map.default, arguments)


def test_explains_weights_of_another_size() -> None:
    with pytest.raises(ValueError, match=r'logits are .2, 3., but there are weights for .2, 4.'):
        triton_class_map(draw(5, 2, 3), weights(2, 4), weights(4, 7))
