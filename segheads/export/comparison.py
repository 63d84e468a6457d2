"""An exported file against the model that it came from."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segheads.mistakes import UserMistake

from .deployed_model import DeployedModel

# Batch, height, width: one and several images, multiples of 32 and odd ones, the smallest, and the
# size that EfficientFormerV2 treats specially.
SIZES = ((1, 32, 33), (1, 65, 97), (3, 96, 160), (2, 129, 101), (1, 257, 190), (1, 512, 512))
# Of logits, relative to the largest one where that is above 1.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Difference:
    """How far an exported file is from its model on images of one size.

    Args:
        size (tuple[int, int, int]): Batch, height and width.
        largest (float): The largest difference of logits; where classes are returned, the largest
            lead in logits, or in probability for a single class, of the model's class over the
            file's.
        scale (float): The largest logit, at least 1.
        pixels (int): Number of pixels whose class differs.
    """

    size: tuple[int, int, int]
    largest: float
    scale: float
    pixels: int

    @property
    def is_small(self) -> bool:
        """Whether it is what rounding explains; classes then differ at ties only."""
        return self.largest <= TOLERANCE * self.scale

    def __str__(self) -> str:
        size = 'x'.join(map(str, self.size))
        return (
            f'{size} (batch x height x width): largest difference {self.largest:.1e}, largest '
            f'logit {self.scale:.1f}, {self.pixels} pixels of another class'
        )


@torch.no_grad()
def compare(
    model: DeployedModel,
    exported: Callable[[Tensor], Tensor],
    sizes: Sequence[tuple[int, int, int]] = SIZES,
) -> Iterator[Difference]:
    """Run a model and its exported file on noise of several sizes, all that the model takes.

    Args:
        model (DeployedModel): The model.
        exported (Callable): What the file computes, from image to output.
        sizes (Sequence[tuple[int, int, int]]): Batch, height and width of each comparison.

    Yields:
        Difference: One per size.

    Raises:
        UserMistake: If the file does not take a size, or gives another shape of output.
    """
    for size in sizes:
        image = model.example(*size)
        try:
            expected = model.logits(image)
        except ValueError:  # a head that says that this is too small for it, such as PCAA's
            continue
        try:
            output = exported(image)
        except Exception as error:  # each runtime has its own
            raise UserMistake(
                f'the exported file fails on {size[0]} images of {size[1]}x{size[2]}: '
                f'{str(error).strip().partition(chr(10))[0]}'
            ) from error
        shape = model.classes(expected).shape if model.with_argmax else expected.shape
        if output.shape != shape:
            raise UserMistake(
                f'the exported file gives {tuple(output.shape)} for {size[0]} images of '
                f'{size[1]}x{size[2]}, but must give {tuple(shape)}'
            )
        yield _difference(model, size, expected, output)


def _difference(
    model: DeployedModel, size: tuple[int, int, int], expected: Tensor, output: Tensor
) -> Difference:
    classes = model.classes(expected)
    if not model.with_argmax:
        largest = (output - expected).abs().max().item()
        pixels = model.classes(output) != classes
    elif expected.shape[1] > 1:
        lead = expected.amax(1) - expected.gather(1, output.unsqueeze(1)).squeeze(1)
        # Both classes' logits may be off by the tolerance.
        largest = lead.max().item() / 2
        pixels = output != classes
    else:
        pixels = output != classes
        lead = (expected.squeeze(1).sigmoid() - model.threshold).abs()
        largest = (lead * pixels).max().item()
    scale = max(1.0, expected.abs().max().item())
    # A comparison with NaN is False, and NaN never small.
    return Difference(size, largest, scale, int(pixels.sum()))
