"""Up-sampled logits beside labels, in the way that is fastest where it runs."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from segheads.layers.fastest_implementation import (
    AUTO,
    FastestImplementation,
    candidates_for,
    is_on_gpu,
    magnitude,
    must_not_measure,
    require_kernel,
)

from .tiled_cross_entropy import tiled_cross_entropy

Comparison = tuple[Tensor, Tensor, Tensor]

fastest = FastestImplementation('Up-sampling cross entropy')


def compare_upsampled(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor,
    align_corners: bool,
    implementation: str = AUTO,
) -> Comparison:
    """Up-sample logits bilinearly and compare them with labels.

    Args:
        logits (Tensor): Scores of the classes (B, C, h, w). Computed is in float32 or better.
        labels (Tensor): Class of each pixel (B, H, W). A pixel without a class may have any label
            and must have no weight.
        weight (Tensor): Weight of each pixel (B, H, W); it gets no gradient.
        align_corners (bool): As in :func:`torch.nn.functional.interpolate`.
        implementation (str): 'full' for PyTorch's operators on the up-sampled logits, 'tiles' for
            the same tile by tile, 'kernel' for kernels in Triton, or 'auto': tiles on a CPU, and on
            a GPU what is the fastest there. Default: 'auto'.

    Returns:
        tuple[Tensor, Tensor, Tensor]: The weighted sum of the losses of all pixels, a scalar; the
        losses (B, H, W) without weight and without gradient, 0 where a pixel has no weight;
        whether a pixel's label has the highest score, (B, H, W).

    Raises:
        UserMistake: If there is no kernel for the logits, and it was asked for.
    """
    if implementation == AUTO:
        implementation = choose_implementation(logits, labels, weight, align_corners)
    return _IMPLEMENTATIONS[implementation](logits, labels, weight, align_corners)


def choose_implementation(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> str:
    """Choose the implementation for :func:`compare_upsampled`; arguments are the same."""
    if not is_on_gpu(logits):
        return 'tiles'
    candidates = candidates_for(logits)
    if torch.are_deterministic_algorithms_enabled():
        # PyTorch's gradient of an interpolation depends on the order in which threads come.
        return 'kernel' if 'kernel' in candidates else 'tiles'
    if must_not_measure(logits):
        return candidates[0]
    with_gradient = torch.is_grad_enabled() and logits.requires_grad
    batch, num_classes, *size = logits.shape
    kind = (
        f'{batch} x {num_classes} classes of {magnitude(*size)} cells to '
        f'{magnitude(*labels.shape[1:])} pixels, {logits.dtype} on {logits.device}, '
        f'{"with" if with_gradient else "without"} gradient'
    )

    def trial(name: str) -> Callable[[], object]:
        def run() -> None:
            source = logits.detach().requires_grad_(with_gradient)
            total, *_ = _IMPLEMENTATIONS[name](source, labels, weight, align_corners)
            if with_gradient:
                torch.autograd.grad(total, source)

        return run

    with torch.cuda.device_of(logits):
        return fastest.choose(kind, {name: trial(name) for name in candidates})


def full_size_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> Comparison:
    """Compare by PyTorch's operators; see :func:`compare_upsampled`."""
    with torch.autocast(logits.device.type, enabled=False):
        scores = F.interpolate(
            logits.to(torch.promote_types(logits.dtype, torch.float32)),
            labels.shape[1:],
            mode='bilinear',
            align_corners=align_corners,
        )
        labels = labels.long().clamp(0, logits.shape[1] - 1)
        losses = F.cross_entropy(scores, labels, reduction='none').where(weight != 0, 0)
        total = (losses * weight).sum()
        with torch.no_grad():
            label_scores = scores.gather(1, labels[:, None])[:, 0]
            correct = label_scores == scores.amax(dim=1)
    return total, losses.detach(), correct


def _kernel_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> Comparison:
    require_kernel(logits)
    from .triton_cross_entropy import triton_cross_entropy

    return triton_cross_entropy(logits, labels, weight, align_corners)


_IMPLEMENTATIONS: dict[str, Callable[[Tensor, Tensor, Tensor, bool], Comparison]] = dict(
    full=full_size_cross_entropy, tiles=tiled_cross_entropy, kernel=_kernel_cross_entropy
)
