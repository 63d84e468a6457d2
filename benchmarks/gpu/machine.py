"""On what it was measured."""

import importlib.metadata
import os
import platform

import torch

from benchmarks.gpu.parts import Options, Write
from benchmarks.run import processor

PACKAGES = ('torch', 'triton', 'mmcv-lite', 'mmcv', 'mmengine', 'mmsegmentation', 'timm')


def run(options: Options, write: Write) -> None:
    """Write what is known of the machine."""
    facts = dict(processor=processor(), cores=os.cpu_count(), Python=platform.python_version())
    if options.device == 'cuda':
        card = torch.cuda.get_device_properties(0)
        facts |= {
            'GPU': card.name,
            'GPUs': torch.cuda.device_count(),
            'memory of the GPU, GiB': round(card.total_memory / 2**30, 1),
            'compute capability': f'{card.major}.{card.minor}',
            'CUDA': torch.version.cuda or torch.version.hip,
            'cuDNN': torch.backends.cudnn.version(),
        }
    for package in PACKAGES:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    for name, value in facts.items():
        write(dict(what=name, value=str(value)))
