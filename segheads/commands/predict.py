"""Predict class maps of images and videos, and draw them.

MODEL is a checkpoint, which holds its config; a config and a checkpoint; or the name of a model
that comes with the package, cgrseg_r10t_scenes. For each image class_maps/NAME.png (class index per
pixel, in the colours of the classes) and overlays/NAME.jpg are written; for each video a class map
per frame, class_maps/NAME/000000.png, and overlays/NAME.mp4.

Results of an earlier run stay unless --overwrite is given. Files that cannot be read are skipped
and named at the end; the exit code is then 1.

Example:
    segheads predict best.pth photos street.mp4 --out predictions
    segheads predict ccaseg_b0_ade20k iter_160000.pth photos --scores --tta
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from segheads.configs.names import CHECKPOINT_SUFFIXES, is_checkpoint
from segheads.mistakes import UserMistake, near_matches
from segheads.weights.bundled import bundled_models, bundled_weights

from .arguments import (
    add_device_argument,
    add_launcher_arguments,
    add_trust_argument,
    positive,
    share,
)
from .launching import launch_here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.usage = 'segheads predict [options] MODEL INPUT [INPUT ...]'
    parser.add_argument(
        'model',
        metavar='MODEL',
        help='checkpoint; or config file or name such as ccaseg_b0_ade20k, and then a checkpoint, '
        'unless the model comes with the package',
    )
    parser.add_argument(
        'inputs', nargs='+', metavar='INPUT', help='image, video, folder (with all below) or glob'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('predictions'), metavar='FOLDER', help='where to write'
    )
    parser.add_argument('--overwrite', action='store_true', help='write over earlier results')
    parser.add_argument(
        '--resume', action='store_true', help='leave out what has its results already'
    )
    add_device_argument(parser)
    parser.add_argument(
        '--batch-size', type=positive, default=1, help='images of one size taken at once'
    )
    parser.add_argument(
        '--processes',
        type=positive,
        default=1,
        metavar='N',
        help='share the files among N processes on this machine: one per GPU, or on the CPU',
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--scores',
        action='store_true',
        help="write the probability of each pixel's class as PNG of 16 bits, 65535 for 1",
    )
    parser.add_argument(
        '--probabilities',
        action='store_true',
        help='write the probabilities of all classes as .npz (C, H, W)',
    )
    parser.add_argument(
        '--polygons',
        nargs='?',
        const='geojson',
        choices=['geojson', 'coco'],
        metavar='FORMAT',
        help='write the connected regions as geojson (the default), or as annotations of coco',
    )
    parser.add_argument(
        '--min-area',
        type=positive,
        default=1,
        metavar='PIXELS',
        help='leave smaller regions out of --polygons',
    )
    parser.add_argument(
        '--window',
        type=positive,
        metavar='PIXELS',
        help='predict TIFF files that are higher or wider in windows of this size, whatever their '
        'size in bounded memory; by default those of more than 67 million pixels',
    )
    parser.add_argument('--opacity', type=share, default=0.5, help='of the colours, from 0 to 1')
    parser.add_argument('--no-legend', action='store_true', help='overlays without a legend')
    add_trust_argument(parser)
    add_launcher_arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Predicts as the command line says.

    Raises:
        SystemExit: With code 1, if files were skipped.
    """
    config, checkpoint, inputs = split_model(options.model, options.inputs)
    if options.processes > 1 and options.launcher == 'none':
        launch_here(options.processes, options.arguments)
        return
    from segheads.checkpoints import trust_checkpoints
    from segheads.inference import load
    from segheads.inference.file_run import FileRun
    from segheads.inference.files import predict_files
    from segheads.inference.input_files import find_files
    from segheads.inference.output_files import OutputFiles
    from segheads.inference.polygon_files import merge_folder
    from segheads.inference.predictor import Predictor
    from segheads.training import processes

    outputs = OutputFiles(
        options.out,
        options.scores,
        options.probabilities,
        options.polygons,
        options.min_area,
        options.window,
    )
    names = find_files(inputs, list(outputs.folders().values()))
    left = outputs.prepare(names, options.overwrite, options.resume)
    rank, count = processes.join_independent(options.launcher, options.local_rank)
    share_of_files = {file: left[file] for file in list(left)[rank::count]}
    skipped = []
    if share_of_files:
        with trust_checkpoints(options.trust_checkpoint):
            model = load(config, checkpoint, options.device or processes.own_device())
        predictor = Predictor(
            model,
            options.batch_size,
            scores=options.scores,
            probabilities=options.probabilities,
            augmented=options.tta,
        )
        file_run = FileRun(
            predictor, outputs, options.opacity, not options.no_legend, options.resume
        )
        skipped = predict_files(share_of_files, file_run, progress=rank == 0)
    skipped = processes.gather(skipped)
    processes.leave_process_group()
    if rank == 0:
        if options.polygons == 'coco':
            merge_folder(outputs.folders()['polygons'])
        tell_results(names, len(left), skipped, options.out)
    if skipped:
        sys.exit(1)


def split_model(model: str, inputs: list[str]) -> tuple[str, str | None, list[str]]:
    """Tells config, checkpoint and inputs apart.

    Args:
        model (str): A config or a checkpoint.
        inputs (list[str]): What follows it: behind a config the checkpoint first, which may be
            left out where the package has one.

    Returns:
        tuple: The model, its checkpoint if that is another file, and the inputs.

    Raises:
        UserMistake: If there are no inputs then.
    """
    if is_checkpoint(model):
        return model, None, inputs
    bundled = bundled_weights(model)
    if bundled and Path(inputs[0]).suffix.lower() not in CHECKPOINT_SUFFIXES:
        return model, str(bundled), inputs
    if len(inputs) < 2:
        raise UserMistake(
            f'{model} is a config, so that a checkpoint and the images must follow; give `segheads '
            'predict CONFIG CHECKPOINT INPUT`, or a checkpoint alone: `segheads predict CHECKPOINT '
            f'INPUT`{near_matches(model, bundled_models())}'
        )
    return model, inputs[0], inputs[1:]


def tell_results(
    names: Mapping[Path, str], count: int, skipped: Sequence[str], folder: Path
) -> None:
    """Prints what was done.

    Args:
        names (Mapping): Names of the results by input.
        count (int): How many of them had no results yet.
        skipped (Sequence[str]): Which could not be predicted, and why.
        folder (Path): Where the results are.
    """
    from segheads.inference.georeference import loses_georeference

    for file, name in names.items():
        if Path(name).name != file.stem:
            print(f'{file} is written as {name}: another input has its name')
    for file in names:
        if loses_georeference(file):
            print(
                f'{file} is a GeoTIFF, and its results have no georeference: install rasterio, '
                '`pip install "segheads[geo]"`'
            )
    if count < len(names):
        print(f'{len(names) - count} of {len(names)} files had their results already')
    print(f'{count - len(skipped)} of {count} files predicted, results in {folder.resolve()}')
    if skipped:
        print(f'skipped {len(skipped)}:', file=sys.stderr)
        for reason in skipped:
            print(f'  {reason}', file=sys.stderr)
