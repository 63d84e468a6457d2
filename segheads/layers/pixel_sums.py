"""Weighted sums over the pixels of a map."""

import torch
from torch import Tensor


def sum_over_pixels(a: Tensor, b: Tensor) -> Tensor:
    """Multiply two batches of matrices along their pixels, ``a @ b``, in float32 or better.

    The weights of a mean over thousands of pixels are so small that float16 keeps one or two digits
    of them, and bfloat16 no more of the sum. Autocast is overruled here.

    Args:
        a (Tensor): Matrices (..., M, pixels).
        b (Tensor): Matrices (..., pixels, N).

    Returns:
        Tensor: Matrices (..., M, N), in the data type of the less precise argument.
    """
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    narrow = b.dtype if b.dtype.itemsize < a.dtype.itemsize else a.dtype
    device = a.device.type
    # Only 'meta' has no autocast to ask; PyTorch 2.6 cannot trace is_autocast_available.
    if device == 'meta' or not torch.is_autocast_enabled(device):
        return (a.to(dtype) @ b.to(dtype)).to(narrow)
    with torch.autocast(device, enabled=False):
        return (a.to(dtype) @ b.to(dtype)).to(narrow)
