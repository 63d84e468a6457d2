"""Export a trained segmentor into a file that runs without MMSegmentation.

Batch, height and width stay open. The file is run on several sizes and compared with the model, and
is kept only where they agree; see docs/export.md.

Example:
    python tools/export.py CONFIG CHECKPOINT --format onnx --with-preprocessing --with-argmax
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import segheads
from segheads.checkpoints import trust_checkpoints
from segheads.commands.command_line import add_config_options, add_trust_argument, run_tool
from segheads.configs.loading import load_config, require_keys
from segheads.export.comparison import TOLERANCE, compare
from segheads.export.deployed_model import DeployedModel
from segheads.export.file_formats import FILE_FORMATS, write
from segheads.mistakes import UserMistake


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--format', choices=list(FILE_FORMATS), default='onnx')
    parser.add_argument(
        '--out', metavar='FILE', help='the exported file; default: named as the checkpoint, here'
    )
    parser.add_argument(
        '--with-preprocessing',
        action='store_true',
        help='take uint8 images in the channel order of the data pipeline, and normalise inside',
    )
    parser.add_argument(
        '--with-argmax', action='store_true', help='return class indices instead of logits'
    )
    add_config_options(parser)
    add_trust_argument(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Exports as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.

    Raises:
        UserMistake: If the model cannot be exported, or the file does not compute what it does.
    """
    options = parse_arguments(arguments)
    cfg = load_config(options.config, options.cfg_options)
    require_keys(cfg, ('model',))
    suffix = FILE_FORMATS[options.format].suffix
    out = Path(options.out or Path(Path(options.checkpoint).name).with_suffix(suffix))
    if not out.parent.is_dir():
        raise UserMistake(f'--out: the folder {out.parent} does not exist; create it')
    cfg.model.pop('auxiliary_head', None)  # it takes part in training only
    with trust_checkpoints(options.trust_checkpoint):
        segmentor = segheads.load(cfg, options.checkpoint, 'cpu')
    model = DeployedModel(
        segmentor,
        with_preprocessing=options.with_preprocessing,
        with_argmax=options.with_argmax,
    )
    with tempfile.TemporaryDirectory(prefix='.export-', dir=out.parent) as folder:
        file = Path(folder) / f'model{suffix}'
        write(model, options.format, file)
        verify(model, file, options.format)
        os.replace(file, out)
    print(f'{out}: {out.stat().st_size / 2**20:.1f} MiB')


def verify(model: DeployedModel, file: Path, file_format: str) -> None:
    """Compares an exported file with its model, and prints how far they are apart.

    Args:
        model (DeployedModel): The model.
        file (Path): The file.
        file_format (str): Its format.

    Raises:
        UserMistake: If they differ by more than rounding explains.
    """
    for difference in compare(model, FILE_FORMATS[file_format].load(file)):
        print(difference, flush=True)
        if not difference.is_small:
            raise UserMistake(
                f'the exported file does not compute what the model does ({difference}; allowed '
                f'are {TOLERANCE:.0e} of the largest logit), and was deleted; try another --format'
            )


if __name__ == '__main__':
    run_tool(main)
