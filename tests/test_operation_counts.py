"""No head does more work than it did.

Counted on tensors without data, so on any machine: the multiply-adds of convolutions and matrix
products, and the numbers that any operation writes, which is what copies and needless resizes cost.
Whoever saves work lowers the numbers below.
"""

from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
from mmseg.registry import MODELS
from test_configs import CONFIGS
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

MIT_B0 = ((32, 4), (64, 8), (160, 16), (256, 32))
MIT_B1 = ((64, 4), (128, 8), (320, 16), (512, 32))
EFFICIENTFORMER_S1 = ((32, 4), (48, 8), (120, 16), (224, 32))
RESNET_50 = ((256, 4), (512, 8), (1024, 8), (2048, 8))

# For the features of an image of 512x512 and 150 classes, in 10^6.
LIMITS = """
    config           multiply-adds  written
    ccaseg_b0.py     3155           108
    cgrseg_t.py      654            16
    ccsnet_b1.py     4455           96
    pcaa_r50.py      99954          65
    sasformer_b0.py  616            29
"""
LEVELS = {
    'ccaseg_b0.py': MIT_B0,
    'cgrseg_t.py': EFFICIENTFORMER_S1,
    'ccsnet_b1.py': MIT_B1,
    'pcaa_r50.py': RESNET_50,
    'sasformer_b0.py': MIT_B0,
}


class WriteCounter(TorchDispatchMode):
    """Counts the numbers that operations write; views write none."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.written += sum(x.numel() for x in tree_leaves(output) if isinstance(x, Tensor))
        return output


@pytest.mark.parametrize('line', LIMITS.strip().splitlines()[1:], ids=lambda line: line.split()[0])
def test_the_work_of_a_head(line: str) -> None:
    config, multiply_adds, written = line.split()
    cfg = Config.fromfile(CONFIGS / '_base_' / 'models' / config).model.decode_head
    head = MODELS.build(cfg[-1] if isinstance(cfg, list) else cfg).eval().to('meta')
    features = [
        torch.empty(1, width, 512 // stride, 512 // stride, device='meta')
        for width, stride in LEVELS[config]
    ]
    arguments = [features]
    if isinstance(head, BaseCascadeDecodeHead):
        arguments.append(torch.empty(1, 150, 32, 32, device='meta'))
    with torch.no_grad(), FlopCounterMode(display=False) as flops, WriteCounter() as writes:
        head(*arguments)
    assert flops.get_total_flops() / 2 <= int(multiply_adds) * 1e6
    # Versions of PyTorch compose some operations of others.
    assert writes.written <= 1.05 * int(written) * 1e6
