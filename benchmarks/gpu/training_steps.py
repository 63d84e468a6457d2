"""Training steps of whole models: forward, losses, accuracy, backward, optimiser."""

from functools import partial

import torch

from benchmarks.gpu.costs import cost_rows
from benchmarks.gpu.parts import Options, Write
from benchmarks.subjects import Subject, labels, ours
from benchmarks.workloads import MMSEG_SEGMENTORS, Setting, Workload
from segheads.training.memory_format import MemoryFormat

MMSEG = 'MMSegmentation'
BATCH = 16
# Behind a ResNet with dilation a step takes several times as much.
SMALLER_BATCH = {'PCAA, ResNet-50': 8}
FIRST = ('CCASeg, MiT-B0', 'CGRSeg-T, EfficientFormerV2-S1')


def run(options: Options, write: Write) -> None:
    """Measure every model in every precision, those of the aims first."""
    subjects = sorted(ours(), key=lambda subject: subject.name not in FIRST)
    for precision in options.precisions:
        setting = options.setting(precision)
        for subject in subjects[:1] if options.dry_run else subjects:
            batch, size = (2, (32, 32)) if options.dry_run else (batch_size(subject), (512, 512))
            build = partial(training_step, subject, setting, batch, size)
            builders = {
                MMSEG: partial(
                    build, segmentor=MMSEG_SEGMENTORS[subject.segmentor()], loss='CrossEntropyLoss'
                ),
                'ours': build,
                'ours, channels last': partial(build, channels_last=True),
            }
            case = f'{subject.name}, {batch}x{size[0]}x{size[1]}'
            for row in cost_rows(builders, setting, options, case=case):
                if 'ms' in row:
                    row['images/s'] = 1e3 * batch / row['ms']
                write(row)


def batch_size(subject: Subject) -> int:
    """Return the number of images of a step."""
    return SMALLER_BATCH.get(subject.name, BATCH)


def training_step(
    subject: Subject,
    setting: Setting,
    batch: int,
    size: tuple[int, int],
    segmentor: str = '',
    loss: str = '',
    channels_last: bool = False,
) -> Workload:
    """Prepare a training step of a whole model on random images.

    Args:
        subject (Subject): The model.
        setting (Setting): Where it runs.
        batch (int): Number of images.
        size (tuple[int, int]): Their size.
        segmentor (str): Type of the segmentor in place of the configured one. Default: ''.
        loss (str): Type of the cross entropy in place of the configured one. Default: ''.
        channels_last (bool): Whether the channels are last in memory. Default: False.
    """
    model = setting.prepare(subject.build_model(segmentor=segmentor, loss=loss).train())
    if channels_last:
        MemoryFormat(model).set(True)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)
    images = torch.randn(batch, 3, *size, device=setting.device)
    samples = labels(batch, size, 150, setting.device)

    def run() -> None:
        with setting.autocast():
            losses = model.loss(images, samples)
        optimizer.zero_grad()
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        optimizer.step()

    return run
