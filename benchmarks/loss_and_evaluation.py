"""Measure the loss and the way from logits to class maps alone, beside MMSegmentation's.

The logits are given: what is measured is all that comes behind the network. Prints the table of
``docs/loss_and_evaluation.md``.

Example:
    OMP_NUM_THREADS=1 python benchmarks/loss_and_evaluation.py
"""

import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from torch import Tensor, nn

import segheads  # noqa: F401  comes before mmseg, which some versions of MMCV need

# isort: split
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

ROUNDS = 7
LOSSES = ('CrossEntropyLoss', 'UpsampledCrossEntropyLoss')
SEGMENTORS = ('EncoderDecoder', 'LeanEncoderDecoder')
SMALL = (16, 16)
# Linux forgets the peak of a process when 5 is written there.
FORGET_PEAK = Path('/proc/self/clear_refs')


class Image(nn.Module):
    """A backbone that passes the image on."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the image as the only feature map."""
        return [x]


class GivenLogits(BaseDecodeHead):
    """A head whose logits, at a quarter of the image's size, cost nothing."""

    def __init__(self, in_channels: int = 3, **kwargs: object) -> None:
        super().__init__(in_channels, 3, in_index=0, **kwargs)
        self.known: dict[torch.Size, Tensor] = {}

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Return the same random logits for each image of a size."""
        size = inputs[0].shape
        if size not in self.known:
            height, width = (-(-extent // 4) for extent in size[2:])
            shape = size[0], self.num_classes, height, width
            self.known[size] = torch.randn(shape, device=inputs[0].device)
        return self.known[size]


def loss_step(
    loss: str | dict,
    num_classes: int,
    logits_size: tuple,
    image_size: tuple,
    batch: int = 2,
    dtype: torch.dtype = torch.float32,
    device: str = 'cpu',
) -> Callable[[], None]:
    """Prepare losses, accuracy and gradient of a batch."""
    loss = dict(type=loss) if isinstance(loss, str) else loss
    head = GivenLogits(num_classes=num_classes, loss_decode=loss).to(device)
    logits = torch.randn(batch, num_classes, *logits_size, dtype=dtype, device=device)
    logits.requires_grad_()
    labels = torch.randint(0, num_classes, (batch, 1, *image_size), device=device)
    labels[..., :20] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one)) for one in labels]

    def run() -> None:
        logits.grad = None
        head.loss_by_feat(logits, samples)['loss_ce'].backward()

    return run


def prediction(
    segmentor: str,
    num_classes: int,
    image_size: tuple,
    original_size: tuple,
    test_cfg: dict,
    device: str = 'cpu',
) -> Callable[[], None]:
    """Prepare the class map of one image."""
    model = MODELS.build(
        dict(
            type=segmentor,
            backbone=dict(type=Image),
            decode_head=dict(type=GivenLogits, num_classes=num_classes),
            test_cfg=ConfigDict(test_cfg),
        )
    ).eval()
    model.to(device)
    image = torch.randn(1, 3, *image_size, device=device)
    meta = dict(img_shape=image_size, pad_shape=image_size, ori_shape=original_size)
    # The logits of all windows, before anything is measured.
    with torch.no_grad():
        model(image)

    def run() -> None:
        with torch.no_grad():
            model.predict(image, [SegDataSample(metainfo=meta)])

    return run


WHOLE = dict(mode='whole')
SLIDE = dict(mode='slide', crop_size=(1024, 1024), stride=(768, 768))
CASES = {
    'loss, 150 classes, 2x512x512': (loss_step, LOSSES, (150, (64, 64), (512, 512))),
    'loss, 19 classes, 2x512x512': (loss_step, LOSSES, (19, (64, 64), (512, 512))),
    'loss, 19 classes, 2x1024x1024': (loss_step, LOSSES, (19, (256, 256), (1024, 1024))),
    '19 classes, 1024x2048, whole': (
        *(prediction, SEGMENTORS),
        (19, (1024, 2048), (1024, 2048), WHOLE),
    ),
    '19 classes, 1024x2048, slide': (
        *(prediction, SEGMENTORS),
        (19, (1024, 2048), (1024, 2048), SLIDE),
    ),
    '150 classes, 512x683, whole': (
        *(prediction, SEGMENTORS),
        (150, (512, 683), (512, 683), WHOLE),
    ),
    '150 classes, 512x683 to 480x640, whole': (
        *(prediction, SEGMENTORS),
        (150, (512, 683), (480, 640), WHOLE),
    ),
}


def measure_memory(case: str, kind: str) -> float:
    """Measure by how many MiB the resident memory grows, in a process of its own."""
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        build, _, arguments = CASES[case]
        # Libraries set themselves up in their first call.
        build(kind, *(SMALL if isinstance(part, tuple) else part for part in arguments))()
        run = build(kind, *arguments)
        FORGET_PEAK.write_text('5')
        before = memory('VmRSS')
        run()
        sender.send((memory('VmHWM') - before) / 2**10)

    process = context.Process(target=child)
    process.start()
    peak = receiver.recv()
    process.join()
    return peak


def memory(field: str) -> int:
    """Read a field of the process's status, in KiB."""
    lines = Path('/proc/self/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measure_times(case: str) -> list[float]:
    """Measure the CPU time in ms of both kinds in turns, as medians."""
    build, kinds, arguments = CASES[case]
    runs = [build(kind, *arguments) for kind in kinds]
    times: list[list[float]] = [[] for _ in kinds]
    for _ in range(ROUNDS + 1):
        for run, values in zip(runs, times, strict=True):
            start = time.process_time()
            run()
            values.append(1e3 * (time.process_time() - start))
    return [statistics.median(values[1:]) for values in times]


def main() -> None:
    """Measure all cases."""
    warnings.simplefilter('ignore')
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    # Before this process has used what a forked one cannot: PyTorch's threads.
    peaks = {case: [measure_memory(case, kind) for kind in CASES[case][1]] for case in CASES}
    print('| case | CPU time, MMSegmentation | ours | | extra memory, MMSegmentation | ours | |')
    print('|---|---|---|---|---|---|---|')
    for case, (theirs, ours) in peaks.items():
        their_time, our_time = measure_times(case)
        print(
            f'| {case} | {their_time:.0f} ms | {our_time:.0f} ms | {our_time / their_time:.2f}x '
            f'| {theirs:.0f} MiB | {ours:.0f} MiB | {ours / theirs:.2f}x |',
            flush=True,
        )


if __name__ == '__main__':
    main()
