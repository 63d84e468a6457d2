"""From a config and a checkpoint to a file that has been checked."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segheads import runtime
from segheads.configs.loading import load_config, require_keys
from segheads.inference import load
from segheads.mistakes import UserMistake
from segheads.runtime.networks import installed_runtimes

from .comparison import TOLERANCE, compare
from .deployed_model import DeployedModel
from .description import describe
from .file_formats import FILE_FORMATS, write
from .file_formats import load as load_file


def export(
    config: str,
    checkpoint: str,
    out: str | Path | None = None,
    *,
    file_format: str = 'onnx',
    with_preprocessing: bool = False,
    with_argmax: bool = False,
    with_runner: bool = False,
    cfg_options: Mapping[str, Any] | None = None,
) -> Path:
    """Exports a model, and keeps the file only if it computes what the model does.

    Args:
        config (str): A config file, or a name of :func:`segheads.list_models`.
        checkpoint (str): Its checkpoint.
        out (str | Path | None): The file; None for the name of the checkpoint, in the working
            directory. Default: None.
        file_format (str): Of :data:`segheads.export.file_formats.FILE_FORMATS`. Default: 'onnx'.
        with_preprocessing (bool): Whether it takes uint8 images, and normalises and pads them.
            Default: False.
        with_argmax (bool): Whether it returns class indices instead of logits. Default: False.
        with_runner (bool): Whether the runner is written beside it, which needs no PyTorch.
            Default: False.
        cfg_options (Mapping | None): Settings of the config to override, by dotted keys.
            Default: None.

    Returns:
        Path: The file.

    Raises:
        UserMistake: If the model cannot be exported, or the file does not compute what it does.
    """
    cfg = load_config(config, cfg_options)
    require_keys(cfg, ('model',))
    suffix = FILE_FORMATS[file_format].suffix
    target = Path(out or f'{Path(checkpoint).stem}{suffix}')
    if not target.parent.is_dir():
        raise UserMistake(f'--out: the folder {target.parent} does not exist; create it')
    cfg.model.pop('auxiliary_head', None)  # it takes part in training only
    segmentor = load(cfg, checkpoint, 'cpu')
    model = DeployedModel(segmentor, with_preprocessing=with_preprocessing, with_argmax=with_argmax)
    with tempfile.TemporaryDirectory(prefix='.export-', dir=target.parent) as folder:
        file = Path(folder) / f'model{suffix}'
        write(model, file_format, file, describe(model, Path(config).stem, checkpoint))
        verify(model, file)
        if target.is_dir():  # no folder can be replaced in one step
            target.rename(Path(folder) / 'before')
        os.replace(file, target)
    print(f'{target}: {size_of(target) / 2**20:.1f} MiB')
    if with_runner:
        write_runner(target.parent)
    return target


def write_runner(folder: Path) -> None:
    """Copies :mod:`segheads.runtime`, which runs exported models, into a folder."""
    source, runner = Path(runtime.__file__).parent, folder / 'segheads_runtime'
    shutil.copytree(
        source, runner, ignore=shutil.ignore_patterns('__pycache__'), dirs_exist_ok=True
    )
    print(f'{runner}: runs it by `python -m segheads_runtime`')


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))


def verify(model: DeployedModel, file: Path) -> None:
    """Compares an exported file with its model, and prints how far they are apart.

    It is run in everything that is installed and could: each compiles the graph by itself.

    Args:
        model (DeployedModel): The model.
        file (Path): The file.

    Raises:
        UserMistake: If they differ by more than rounding explains.
    """
    for runtime_name in installed_runtimes(file):
        print(f'in {runtime_name}:')
        for difference in compare(model, load_file(model, file, runtime_name)):
            print(difference, flush=True)
            if not difference.is_small:
                raise UserMistake(
                    'the exported file does not compute what the model does '
                    f'(in {runtime_name}, {difference}; allowed are {TOLERANCE:.0e} of the largest '
                    'logit), and was deleted; try another --format'
                )
