"""Infinities and NaN among scores."""

import torch
from torch import Tensor

# A weighted sum of them comes out as one of what they stand for would, and where their weight is 0
# they take no part in it. NaN is the highest of all, as for `argmax`.
STAND_INS = dict(nan=1e38, posinf=1e30, neginf=-1e22)
SMALLEST_SHARE = 1e-7


def all_finite(x: Tensor) -> bool:
    """Tell whether a tensor holds neither infinities nor NaN; on a GPU that means to wait.

    Args:
        x (Tensor): The tensor.

    Returns:
        bool: True if all values are finite; False also where their sum is beyond the data type.
    """
    # A sum passes on whatever is not finite, and is far cheaper than looking at each value.
    return bool(x.sum(dtype=torch.promote_types(x.dtype, torch.float32)).isfinite())


def replace_nonfinite(scores: Tensor) -> Tensor:
    """Put very large finite numbers in the place of infinities and NaN, before an ``argmax``.

    A product of matrices would spread them over all that share a row or column: 0 times infinity is
    no number. Where several classes of a pixel are NaN, or infinite, it is then the one that
    reaches it most, not the first.

    Args:
        scores (Tensor): Scores of the classes in float32 or float64.

    Returns:
        Tensor: The same with stand-ins.
    """
    return scores.nan_to_num(**STAND_INS)


def restore_nonfinite(scores: Tensor) -> Tensor:
    """Turn weighted sums of what :func:`replace_nonfinite` gives into those of the scores.

    Args:
        scores (Tensor): Scores of the classes.

    Returns:
        Tensor: The same with infinities and NaN; those of which a sum has hardly a share are
        missing.
    """
    restored = scores
    for value, stand_in in (
        ('-inf', STAND_INS['neginf']),
        ('inf', STAND_INS['posinf']),
        ('nan', STAND_INS['nan']),
    ):
        is_reached = scores / stand_in > SMALLEST_SHARE
        restored = restored.masked_fill(is_reached, float(value))
    return restored
