"""What is measured of a head or a model, as functions without arguments."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor, nn

from segheads.training.compilation import compile_network, compile_networks

from .subjects import Subject, labels

STRIP_LOSS = 'UpsampledCrossEntropyLoss'
# What the segmentors of our configs are compared with.
MMSEG_SEGMENTORS = dict(
    LeanEncoderDecoder='EncoderDecoder', LeanCascadeEncoderDecoder='CascadeEncoderDecoder'
)
IMAGE = (512, 512)

Workload = Callable[[], None]


@dataclass(frozen=True)
class Setting:
    """Where and how a workload runs.

    Args:
        device (str): 'cpu' or 'cuda'. Default: 'cpu'.
        threads (int): Threads on the CPU. Default: 1.
        precision (str): 'fp32', 'tf32' for products of float32 in TF32, which GPUs have, or 'bf16'
            for autocast. Default: 'fp32'.
        compiled (bool): Whether the network goes through ``torch.compile``. Default: False.
    """

    device: str = 'cpu'
    threads: int = 1
    precision: str = 'fp32'
    compiled: bool = False

    def __str__(self) -> str:
        if self.device == 'cpu':
            return 'CPU time, 1 thread' if self.threads == 1 else f'wall, {self.threads} threads'
        return f'CUDA, {self.precision}, {"compiled" if self.compiled else "eager"}'

    def prepare(self, module: nn.Module) -> nn.Module:
        """Put a module where it is measured."""
        module = module.to(self.device)
        if self.compiled:
            compile_ = compile_networks if isinstance(module, BaseSegmentor) else compile_network
            compile_(module)
        return module

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Enter the precision."""
        if self.device == 'cuda':
            # PyTorch's own defaults allow TF32 in convolutions, but not in matrix products.
            torch.set_float32_matmul_precision('high' if self.precision == 'tf32' else 'highest')
            torch.backends.cudnn.allow_tf32 = self.precision == 'tf32'
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == 'bf16'):
            yield


def forward(
    subject: Subject,
    setting: Setting,
    size: tuple[int, int] = IMAGE,
    num_classes: int = 150,
    fused: bool = False,
) -> Workload:
    """Evaluate a head on the features of one image."""
    head = subject.build_head(num_classes, fused=fused).eval()
    inputs = subject.inputs(head, 1, size, setting.device)
    network = setting.prepare(head)

    def run() -> None:
        with torch.inference_mode(), setting.autocast():
            network(*inputs)

    return run


def training_step(subject: Subject, setting: Setting, size: tuple[int, int] = IMAGE) -> Workload:
    """Run a head on the features of two images, and back from a given gradient of the logits."""
    head = subject.build_head().train()
    inputs = subject.inputs(head, 2, size, setting.device)
    network = setting.prepare(head)
    with torch.no_grad(), setting.autocast():
        gradient = torch.randn_like(network(*inputs))

    def run() -> None:
        _forget_gradients(head, inputs)
        with setting.autocast():
            logits = network(*inputs)
        logits.backward(gradient)

    return run


def training_step_with_loss(
    subject: Subject,
    setting: Setting,
    size: tuple[int, int] = IMAGE,
    loss: str = 'CrossEntropyLoss',
) -> Workload:
    """Run a head on the features of two images, and back from its losses at image resolution."""
    head = subject.build_head(loss=loss).train()
    inputs = subject.inputs(head, 2, size, setting.device)
    targets = labels(2, size, head.num_classes, setting.device)
    setting.prepare(head)

    def run() -> None:
        _forget_gradients(head, inputs)
        with setting.autocast():
            losses = head.loss(*inputs, targets, None)
        sum(value for name, value in losses.items() if 'loss' in name).backward()

    return run


def model_forward(subject: Subject, setting: Setting, size: tuple[int, int] = IMAGE) -> Workload:
    """Evaluate encoder and head on one image."""
    model = setting.prepare(subject.build_model().eval())
    image = torch.randn(1, 3, *size, device=setting.device)

    def run() -> None:
        with torch.inference_mode(), setting.autocast():
            model(image)

    return run


def prediction(
    subject: Subject,
    setting: Setting,
    size: tuple[int, int],
    num_classes: int,
    segmentor: str = '',
) -> Workload:
    """Predict the class map of one image, as ``tools/test.py`` does behind its data loader.

    A ``segmentor`` takes the place of the configured one.
    """
    model = setting.prepare(subject.build_model(num_classes, segmentor).eval())
    image = torch.randn(1, 3, *size, device=setting.device)
    samples = labels(1, size, num_classes, setting.device)

    def run() -> None:
        with torch.inference_mode(), setting.autocast():
            model.predict(image, samples)

    return run


def _forget_gradients(head: nn.Module, inputs: tuple) -> None:
    head.zero_grad()
    for entry in inputs:
        for x in [entry] if isinstance(entry, Tensor) else entry:
            x.grad = None
