"""Class maps from logits at low resolution, in the way that is fastest where it runs."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._subclasses import FakeTensor

from segheads.layers.fastest_implementation import (
    AUTO,
    FastestImplementation,
    candidates_for,
    is_on_gpu,
    magnitude,
    must_not_measure,
    require_kernel,
)
from segheads.layers.nonfinite import replace_nonfinite

ClassMap = Callable[[Tensor, Tensor, Tensor], Tensor]

fastest = FastestImplementation('Class map')


def fastest_class_map(
    logits: Tensor,
    row_weights: Tensor,
    column_weights: Tensor,
    tiled: ClassMap,
    implementation: str = AUTO,
) -> Tensor:
    """Find the class with the highest score at each pixel of a rectangle of the image.

    Args:
        logits (Tensor): Scores of the classes (C, h, w).
        row_weights (Tensor): Weights (h, H) of the rows of the logits in those of the rectangle.
        column_weights (Tensor): Weights (w, W) of the columns of the logits.
        tiled (Callable): Finds it tile by tile, from logits and weights.
        implementation (str): 'full' for PyTorch's operators on the up-sampled logits, 'tiles' for
            the same tile by tile, 'kernel' for a kernel in Triton, or 'auto': tiles on a CPU, and
            on a GPU what is the fastest there. Default: 'auto'.

    Returns:
        Tensor: The class of each pixel, (1, H, W).

    Raises:
        UserMistake: If there is no kernel for the logits, and it was asked for.
    """

    def full(logits: Tensor, *weights: Tensor) -> Tensor:
        # A matrix product would spread what is not finite over the whole map.
        if not isinstance(logits, FakeTensor) and not logits.isfinite().all():
            return tiled(logits, *weights)
        return full_size_class_map(logits, *weights)

    implementations = dict(full=full, tiles=tiled, kernel=_kernel_class_map)
    arguments = logits, row_weights, column_weights
    if implementation == AUTO:
        implementation = _choose(implementations, *arguments)
    return implementations[implementation](*arguments)


def _choose(
    implementations: dict[str, ClassMap],
    logits: Tensor,
    row_weights: Tensor,
    column_weights: Tensor,
) -> str:
    if not is_on_gpu(logits):
        return 'tiles'
    candidates = candidates_for(logits)
    if must_not_measure(logits):
        return candidates[0]
    num_classes, *size = logits.shape
    kind = (
        f'{num_classes} classes of {magnitude(*size)} cells to '
        f'{magnitude(row_weights.shape[1], column_weights.shape[1])} pixels, {logits.dtype} on '
        f'{logits.device}'
    )

    def trial(name: str) -> Callable[[], object]:
        return lambda: implementations[name](logits, row_weights, column_weights)

    with torch.cuda.device_of(logits):
        return fastest.choose(kind, {name: trial(name) for name in candidates})


@torch.no_grad()
def full_size_class_map(logits: Tensor, row_weights: Tensor, column_weights: Tensor) -> Tensor:
    """Find it by PyTorch's operators, if all is finite; see :func:`fastest_class_map`."""
    # Autocast would turn the matrix products to 16 bits.
    with torch.autocast(logits.device.type, enabled=False):
        scores = replace_nonfinite(logits.to(row_weights.dtype))
        scores = row_weights.t() @ (scores @ column_weights)
    return scores.argmax(dim=0, keepdim=True)


def _kernel_class_map(logits: Tensor, row_weights: Tensor, column_weights: Tensor) -> Tensor:
    require_kernel(logits)
    from segheads.layers.triton_class_map import triton_class_map

    with torch.no_grad():
        return triton_class_map(logits, row_weights, column_weights)
