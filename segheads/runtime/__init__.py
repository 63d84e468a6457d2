"""Exported models, run without PyTorch and MMSegmentation.

It needs NumPy, Pillow and one of ONNX Runtime and OpenVINO (PyTorch for `.pt2` and `.torchscript`),
and imports nothing of the package around it: ``import segheads_runtime`` is this folder alone, and
``segheads export --with-runner`` writes a copy of it beside a model.
"""

from typing import Any

from .description import Description, read_description
from .mistakes import RunnerMistake

__all__ = ['Description', 'ExportedModel', 'RunnerMistake', 'load', 'read_description']


def __getattr__(name: str) -> Any:
    """Imports what needs NumPy when it is asked for: commands ask for descriptions only."""
    if name not in ('ExportedModel', 'load'):
        raise AttributeError(f'{__name__} has no {name}')
    from . import model

    return getattr(model, name)
