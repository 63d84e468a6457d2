"""Print what a report of a bug needs: versions, device, threads, paths.

Example:
    segheads info
"""

import argparse

PACKAGES = (
    *('torch', 'torchvision', 'mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation', 'timm', 'numpy'),
    *('opencv-python', 'opencv-python-headless', 'pillow', 'safetensors', 'triton', 'onnxruntime'),
    *('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation'),
)
VARIABLES = ('CUDA_VISIBLE_DEVICES', 'OMP_', 'GOMP_', 'MKL_', 'MALLOC_', 'PYTHONPATH', 'TORCH_')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command, of which there are none."""


def run(options: argparse.Namespace) -> None:
    """Prints it."""
    import importlib.metadata
    import os
    import platform
    import sys
    from pathlib import Path

    import torch

    import segheads
    from segheads.configs.names import config_files

    lines = {
        'segheads': f'{segheads.__version__} in {Path(segheads.__file__).parent}',
        'configs': f'{len(config_files())} models',
        'python': f'{platform.python_version()} at {sys.executable}',
        'system': platform.platform(),
        'processor': f'{_processor()}, {os.cpu_count()} cores',
        'threads': f'{torch.get_num_threads()} of PyTorch',
        'device': _device(),
        'directory': os.getcwd(),
    }
    for package in PACKAGES:
        try:
            lines[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    lines |= {name: value for name, value in os.environ.items() if name.startswith(VARIABLES)}
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f'{name:{width}}  {text}')


def _processor() -> str:
    """Names the processor; Linux says it in a file only."""
    import platform
    import re
    from pathlib import Path

    file = Path('/proc/cpuinfo')
    text = file.read_text() if file.is_file() else ''
    model = re.search(r'model name\s*: (.+)', text)
    family = re.search(r'cpu family\s*: (\d+)', text)
    if model is None:
        return platform.processor() or platform.machine()
    return model[1] + (f' (family {family[1]})' if family else '')


def _device() -> str:
    import torch
    from mmengine.device import get_device

    if get_device() != 'cuda':
        return f'{get_device()} (PyTorch {"with" if torch.version.cuda else "without"} CUDA)'
    count = torch.cuda.device_count()
    return f'{count} x {torch.cuda.get_device_name()}, CUDA {torch.version.cuda}'
