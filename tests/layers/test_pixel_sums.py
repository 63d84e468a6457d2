"""Sums over pixels keep the precision that 16 bits do not have."""

import pytest
import torch

from segheads.layers import sum_over_pixels


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_a_mean_over_many_pixels_in_16_bits(dtype: torch.dtype) -> None:
    pixels = 2**16
    values = torch.ones(1, 3, pixels, dtype=dtype)
    weights = torch.full((1, pixels, 2), 1 / pixels)
    with torch.autocast('cpu', dtype):
        found = sum_over_pixels(values, weights)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), torch.ones(1, 3, 2), rtol=0, atol=0)


def test_is_the_product_in_single_and_double_precision() -> None:
    for dtype in (torch.float32, torch.float64):
        a, b = torch.randn(2, 3, 7, dtype=dtype), torch.randn(2, 7, 5, dtype=dtype)
        assert torch.equal(sum_over_pixels(a, b), a @ b)


def test_a_device_without_autocast() -> None:
    a, b = torch.empty(2, 3, 7, device='meta'), torch.empty(2, 7, 5, device='meta')
    assert sum_over_pixels(a, b).shape == (2, 3, 5)
