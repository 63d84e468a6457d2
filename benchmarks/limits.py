"""How far a head is from what the machine could do."""

import statistics
import time
from collections.abc import Callable
from math import isqrt

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from segheads.layers import pointwise_conv2d

from .subjects import Subject
from .workloads import IMAGE

MATRIX_SIZE = 1024


@torch.inference_mode()
def matrix_product_rate() -> float:
    """Measure multiply-adds per second of CPU time, for square matrices of float32, one thread.

    PyTorch has two libraries for them, of which processors prefer the one or the other.
    """
    torch.set_num_threads(1)
    x = torch.randn(MATRIX_SIZE, MATRIX_SIZE)
    edge = isqrt(MATRIX_SIZE)
    pixels = x.view(1, edge, edge, MATRIX_SIZE).permute(0, 3, 1, 2)
    products = (lambda: x @ x, lambda: pointwise_conv2d(pixels, x[:, :, None, None]))
    return MATRIX_SIZE**3 / min(_seconds(product) for product in products)


def _seconds(product: Callable[[], Tensor]) -> float:
    seconds = []
    for _ in range(12):
        start = time.process_time()
        product()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[2:])


@torch.no_grad()
def multiply_adds(subject: Subject, size: tuple[int, int] = IMAGE, num_classes: int = 150) -> int:
    """Count the multiply-adds of the convolutions and matrix products of a forward pass."""
    head = subject.build_head(num_classes).eval().to('meta')
    inputs = subject.inputs(head, 1, size, 'meta')
    with FlopCounterMode(display=False) as counter:
        head(*inputs)
    return counter.get_total_flops() // 2
