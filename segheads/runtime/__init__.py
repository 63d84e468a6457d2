"""Exported models, run without PyTorch and MMSegmentation.

It needs NumPy, Pillow and one of ONNX Runtime and OpenVINO (PyTorch for `.pt2` and `.torchscript`),
and imports nothing of the package around it: ``import segheads_runtime`` is this folder alone, and
``segheads export --with-runner`` writes a copy of it beside a model.
"""

from .description import Description, read_description
from .mistakes import RunnerMistake
from .model import ExportedModel, load

__all__ = ['Description', 'ExportedModel', 'RunnerMistake', 'load', 'read_description']
