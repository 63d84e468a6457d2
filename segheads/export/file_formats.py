"""The formats a model is exported in: how each is written, and how it is run."""

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from segheads.mistakes import UserMistake

from .deployed_model import DeployedModel
from .mmseg_forms import sizes_left_open

# Smaller images have maps of a single row, which PyTorch does not tell from a constant.
SMALLEST_SIDE = 65
# Nor may the example have such maps, or a single window of Swin's (12x12 at most, at stride 32), or
# be a single image.
EXAMPLE_SIZE = (2, 400, 464)
AXES = {0: 'batch', 2: 'height', 3: 'width'}


@dataclass(frozen=True)
class FileFormat:
    """A format.

    Args:
        suffix (str): Of the file's name.
        write (Callable): Writes a model into a file.
        load (Callable): Makes a function, from image to output, of a file.
    """

    suffix: str
    write: Callable[[DeployedModel, Path], None]
    load: Callable[[Path], Callable[[Tensor], Tensor]]


def write_onnx(model: DeployedModel, path: Path) -> None:
    """Write an ONNX file with one input, ``image``, and one output, ``logits`` or ``classes``.

    Args:
        model (DeployedModel): The model.
        path (Path): The file.

    Raises:
        UserMistake: If a package is missing.
    """
    _require_onnx()
    program = torch.onnx.export(
        _export_program(model),
        dynamo=True,
        verbose=False,
        input_names=['image'],
        output_names=['classes' if model.with_argmax else 'logits'],
        dynamic_shapes={'image': AXES},
    )
    program.save(path, external_data=False)


def load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """Load an ONNX file into ONNX Runtime, on the CPU.

    Args:
        path (Path): The file.

    Returns:
        Callable: From image to output.

    Raises:
        UserMistake: If a package is missing.
    """
    _require_onnx()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # what the optimiser of the graph leaves out is no news
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda image: torch.from_numpy(session.run(None, {'image': image.numpy()})[0])


def write_torch_export(model: DeployedModel, path: Path) -> None:
    """Write a program of ``torch.export``.

    Args:
        model (DeployedModel): The model.
        path (Path): The file.
    """
    torch.export.save(_export_program(model), path)


def load_torch_export(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a program of ``torch.export``.

    It takes any size. By default a program refuses sizes that differ from the example in what
    PyTorch has asked about it while tracing, such as whether a map has a single row, even where
    the graph does not depend on it.

    Args:
        path (Path): The file.

    Returns:
        Callable: From image to output.
    """
    program = torch.export.load(path)
    if 'check_guards' in inspect.signature(program.module).parameters:
        return program.module(check_guards=False)
    return program.module()  # where PyTorch does not check yet


def write_torchscript(model: DeployedModel, path: Path) -> None:
    """Write a TorchScript file, by tracing.

    Args:
        model (DeployedModel): The model.
        path (Path): The file.
    """
    # The trace is compared afterwards, on other sizes than PyTorch's check would take.
    traced = torch.jit.trace(model, model.example(*EXAMPLE_SIZE), check_trace=False)
    torch.jit.save(traced, path)


def load_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a TorchScript file.

    Args:
        path (Path): The file.

    Returns:
        Callable: From image to output.
    """
    return torch.jit.load(path)


FILE_FORMATS = {
    'onnx': FileFormat('.onnx', write_onnx, load_onnx),
    'torch_export': FileFormat('.pt2', write_torch_export, load_torch_export),
    'torchscript': FileFormat('.torchscript', write_torchscript, load_torchscript),
}


def write(model: DeployedModel, file_format: str, path: Path) -> None:
    """Write a model into a file, batch, height and width left open.

    Args:
        model (DeployedModel): The model.
        file_format (str): A key of ``FILE_FORMATS``.
        path (Path): The file.

    Raises:
        UserMistake: If a package is missing, or the format cannot express the model.
    """
    try:
        with torch.no_grad(), sizes_left_open(), _quiet():
            FILE_FORMATS[file_format].write(model, path)
    except UserMistake:
        raise
    except Exception as error:  # each exporter has its own
        reason = str(error).strip().partition('\n')[0] or type(error).__name__
        raise UserMistake(
            f'the model cannot be exported as {file_format} for all sizes: {reason}; try another '
            '--format, or an encoder that docs/export.md lists'
        ) from error


def _export_program(model: nn.Module) -> torch.export.ExportedProgram:
    dynamic = getattr(getattr(torch.export, 'Dim', None), 'DYNAMIC', None)
    if dynamic is None or not hasattr(torch.compiler, 'is_exporting'):
        raise UserMistake(
            f'--format onnx and torch_export need PyTorch 2.7 or newer, but {torch.__version__} is '
            'installed; update it, or use --format torchscript'
        )
    side = dynamic(min=SMALLEST_SIDE)
    return torch.export.export(
        model,
        (model.example(*EXAMPLE_SIZE),),
        dynamic_shapes={'image': {0: dynamic, 2: side, 3: side}},
        strict=False,
    )


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserMistake(
            f'--format onnx needs the package {error.name}; run `pip install "segheads[export]"` '
            '(in a clone: `pip install -e ".[export]"`)'
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
