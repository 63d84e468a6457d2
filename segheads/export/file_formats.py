"""The formats a model is exported in: how each is written, and how it is run."""

import importlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._sympy.value_ranges import ValueRanges

from segheads.mistakes import UserMistake
from segheads.runtime.description import FILE_NAME, KEY, OPENVINO_MODEL
from segheads.runtime.networks import LOW_RESOLUTION, open_network

from .deployed_model import DeployedModel
from .description import SMALLEST_SIDE, describe
from .mmseg_forms import sizes_left_open

# While exporting: smaller images have maps of a single row, which PyTorch does not tell from a
# constant. The graphs take them all the same, as their comparison shows.
SMALLEST_SIDE_WHILE_EXPORTING = 65
# Nor may the example have such maps, or a single window of Swin's (12x12 at most, at stride 32), or
# be a single image.
EXAMPLE_SIZE = (2, 400, 464)
AXES = {0: 'batch', 2: 'height', 3: 'width'}


@dataclass(frozen=True)
class FileFormat:
    """A format.

    Args:
        suffix (str): Of the file's name.
        write (Callable): Writes a model and its description into a file.
    """

    suffix: str
    write: Callable[[DeployedModel, Path, str], None]


class WithLowResolution(nn.Module):
    """A model that gives its logits before they are resized, too.

    Args:
        model (DeployedModel): The model.
    """

    def __init__(self, model: DeployedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the model does, and the logits (B, num_classes, h, w) of its head."""
        logits = self.model.low_resolution_logits(image)
        return self.model.output(logits, *image.shape[2:]), logits


def write_onnx(model: DeployedModel, path: Path, description: str) -> None:
    """Write an ONNX file with one input, ``image``, and the output ``logits`` or ``classes``.

    A second output, ``low_resolution_logits``, costs nothing where it is not asked for.

    Args:
        model (DeployedModel): The model.
        path (Path): The file.
        description (str): What the file says of the model.

    Raises:
        UserMistake: If a package is missing.
    """
    _require('onnx', 'export', 'onnx', 'onnxruntime', 'onnxscript')
    program = torch.onnx.export(
        _export_program(WithLowResolution(model), model.example(*EXAMPLE_SIZE)),
        dynamo=True,
        verbose=False,
        input_names=['image'],
        output_names=[_output_name(model), LOW_RESOLUTION],
        dynamic_shapes={'image': AXES},
    )
    program.model.metadata_props[KEY] = description
    program.save(path, external_data=False)


def write_torch_export(model: DeployedModel, path: Path, description: str) -> None:
    """Write a program of ``torch.export``.

    Args:
        model (DeployedModel): The model.
        path (Path): The file.
        description (str): What the file says of the model.
    """
    program = _export_program(model, model.example(*EXAMPLE_SIZE))
    torch.export.save(program, path, extra_files={FILE_NAME: description})


def write_torchscript(model: DeployedModel, path: Path, description: str) -> None:
    """Write a TorchScript file, by tracing.

    Args:
        model (DeployedModel): The model.
        path (Path): The file.
        description (str): What the file says of the model.
    """
    # The trace is compared afterwards, on other sizes than PyTorch's check would take.
    traced = torch.jit.trace(model, model.example(*EXAMPLE_SIZE), check_trace=False)
    torch.jit.save(traced, path, {FILE_NAME: description})


def write_openvino(model: DeployedModel, path: Path, description: str) -> None:
    """Write a folder with OpenVINO's intermediate representation, made of an ONNX file.

    Args:
        model (DeployedModel): The model.
        path (Path): The folder.
        description (str): What the files say of the model.

    Raises:
        UserMistake: If a package is missing.
    """
    _require('openvino', 'openvino', 'openvino')
    import openvino

    path.mkdir()
    onnx_file = path / 'model.onnx'
    write_onnx(model, onnx_file, description)
    openvino.save_model(
        openvino.Core().read_model(onnx_file), path / OPENVINO_MODEL, compress_to_fp16=False
    )
    onnx_file.unlink()
    (path / FILE_NAME).write_text(description, encoding='utf-8')


FILE_FORMATS = {
    'onnx': FileFormat('.onnx', write_onnx),
    'openvino': FileFormat('_openvino', write_openvino),
    'torch_export': FileFormat('.pt2', write_torch_export),
    'torchscript': FileFormat('.torchscript', write_torchscript),
}


def write(
    model: DeployedModel,
    file_format: str,
    path: Path,
    description: Mapping[str, Any] | None = None,
) -> None:
    """Write a model into a file, batch, height and width left open.

    Args:
        model (DeployedModel): The model.
        file_format (str): A key of ``FILE_FORMATS``.
        path (Path): The file.
        description (Mapping | None): As :func:`.description.describe` returns it. Default: None,
            without config and checkpoint.

    Raises:
        UserMistake: If a package is missing, or the format cannot express the model.
    """
    text = json.dumps(description or describe(model))
    try:
        with torch.no_grad(), sizes_left_open(), _quiet():
            FILE_FORMATS[file_format].write(model, path, text)
    except UserMistake:
        raise
    except Exception as error:  # each exporter has its own
        reason = str(error).strip().partition('\n')[0] or type(error).__name__
        raise UserMistake(
            f'the model cannot be exported as {file_format} for all sizes: {reason}; try another '
            '--format, or an encoder that docs/export.md lists'
        ) from error


def load(model: DeployedModel, path: Path, runtime: str) -> Callable[[Tensor], Tensor]:
    """Load an exported file, on the CPU.

    Args:
        model (DeployedModel): The model that was exported.
        path (Path): The file.
        runtime (str): What runs it, of :func:`segheads.runtime.networks.installed_runtimes`.

    Returns:
        Callable: From image to output.
    """
    network = open_network(path, runtime, 'cpu', torch.get_num_threads(), _output_name(model))
    return lambda image: torch.from_numpy(network(image.numpy()))


def _output_name(model: DeployedModel) -> str:
    return 'classes' if model.with_argmax else 'logits'


def _export_program(model: nn.Module, image: Tensor) -> torch.export.ExportedProgram:
    dynamic = getattr(getattr(torch.export, 'Dim', None), 'DYNAMIC', None)
    if dynamic is None or not hasattr(torch.compiler, 'is_exporting'):
        raise UserMistake(
            f'--format onnx and torch_export need PyTorch 2.7 or newer, but {torch.__version__} is '
            'installed; update it, or use --format torchscript'
        )
    side = dynamic(min=SMALLEST_SIDE_WHILE_EXPORTING)
    program = torch.export.export(
        model,
        (image,),
        dynamic_shapes={'image': {0: dynamic, 2: side, 3: side}},
        strict=False,
    )
    for symbol, allowed in program.range_constraints.items():
        if allowed.lower == SMALLEST_SIDE_WHILE_EXPORTING:
            program.range_constraints[symbol] = ValueRanges(SMALLEST_SIDE, allowed.upper)
    return program


def _require(file_format: str, extra: str, *packages: str) -> None:
    """Check that the packages of an extra, which a format needs, are installed."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserMistake(
                f'--format {file_format} needs the package {error.name}; run '
                f'`pip install "segheads[{extra}]"` '
                f'(in a clone: `pip install -e ".[{extra}]"`)'
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporters tell of sizes and deprecations; the comparison shows the truth."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(level)
