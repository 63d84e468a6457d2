"""Export a trained segmentor into a file that runs without MMSegmentation.

Batch, height and width stay open. The file is run on several sizes and compared with the model, and
is kept only where they agree; see docs/export.md.

Example:
    segheads export CONFIG CHECKPOINT --format onnx --with-preprocessing --with-argmax
"""

import argparse

from .arguments import (
    add_config_options,
    add_model_arguments,
    add_trust_argument,
    checkpoint_of,
    config_options,
)

# As segheads.export.file_formats.FILE_FORMATS has them; a test compares.
FORMATS = ('onnx', 'openvino', 'torch_export', 'torchscript')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    add_model_arguments(parser)
    parser.add_argument('--format', choices=FORMATS, default='onnx')
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='the exported file, or folder of OpenVINO; default: named as the checkpoint, here',
    )
    parser.add_argument(
        '--with-preprocessing',
        action='store_true',
        help='take uint8 images in the channel order of the data pipeline, and normalise and pad '
        'inside',
    )
    parser.add_argument(
        '--with-argmax', action='store_true', help='return class indices instead of logits'
    )
    parser.add_argument(
        '--with-runner',
        action='store_true',
        help='write the runner beside the file: the folder segheads_runtime, which needs NumPy, '
        'Pillow and a runtime, and no PyTorch',
    )
    add_config_options(parser)
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Exports as the command line says."""
    from segheads.checkpoints import trust_checkpoints
    from segheads.export.exporting import export

    with trust_checkpoints(options.trust_checkpoint):
        export(
            options.config,
            checkpoint_of(options),
            options.out,
            file_format=options.format,
            with_preprocessing=options.with_preprocessing,
            with_argmax=options.with_argmax,
            with_runner=options.with_runner,
            cfg_options=config_options(options),
        )
