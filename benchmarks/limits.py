"""How far a head is from what the machine could do."""

import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from .subjects import Subject
from .workloads import IMAGE

MATRIX_SIZE = 1024


@torch.inference_mode()
def matrix_product_rate() -> float:
    """Measure multiply-adds per second of CPU time, for square matrices of float32, one thread."""
    torch.set_num_threads(1)
    x = torch.randn(MATRIX_SIZE, MATRIX_SIZE)
    seconds = []
    for _ in range(12):
        start = time.process_time()
        x @ x
        seconds.append(time.process_time() - start)
    return MATRIX_SIZE**3 / statistics.median(seconds[2:])


@torch.no_grad()
def multiply_adds(subject: Subject, size: tuple[int, int] = IMAGE, num_classes: int = 150) -> int:
    """Count the multiply-adds of the convolutions and matrix products of a forward pass."""
    head = subject.build_head(num_classes).eval().to('meta')
    inputs = subject.inputs(head, 1, size, 'meta')
    with FlopCounterMode(display=False) as counter:
        head(*inputs)
    return counter.get_total_flops() // 2
