"""Losses, accuracy and gradient of given logits: MMSegmentation's and ours in each way."""

from functools import partial

import torch

from benchmarks.gpu.costs import cost_rows
from benchmarks.gpu.parts import Options, Write
from benchmarks.loss_and_evaluation import loss_step
from benchmarks.workloads import Setting, Workload

# Batch, classes, logits, labels: the training crops of ADE20K and Cityscapes, at the strides at
# which heads give their logits.
CASES = (
    (16, 150, (128, 128), (512, 512)),
    (16, 150, (64, 64), (512, 512)),
    (8, 19, (256, 256), (1024, 1024)),
    (8, 19, (128, 128), (1024, 1024)),
    (4, 1000, (64, 64), (512, 512)),
)
TINY = ((2, 5, (8, 8), (32, 32)),)
DTYPES = dict(bf16=torch.bfloat16)


def run(options: Options, write: Write) -> None:
    """Measure every case in every precision."""
    for batch, num_classes, logits_size, image_size in TINY if options.dry_run else CASES:
        height, width = image_size
        case = f'{batch}x{height}x{width}, {num_classes} classes from 1/{height // logits_size[0]}'
        for precision in options.precisions:
            setting = options.setting(precision)
            losses = {'MMSegmentation': 'CrossEntropyLoss'}
            for name in options.implementations:
                losses[name] = dict(type='UpsampledCrossEntropyLoss', implementation=name)
            builders = {
                name: partial(step, loss, setting, num_classes, logits_size, image_size, batch)
                for name, loss in losses.items()
            }
            for row in cost_rows(builders, setting, options, case=case):
                write(row)


def step(loss: str | dict, setting: Setting, *sizes: int | tuple[int, int]) -> Workload:
    """Prepare the losses, accuracy and gradient of a batch."""
    dtype = DTYPES.get(setting.precision, torch.float32)
    work = loss_step(loss, *sizes, dtype=dtype, device=setting.device)

    def run() -> None:
        with setting.autocast():
            work()

    return run
