"""Predict class maps of images and videos, and draw them.

Writes class_maps/NAME.png (class index per pixel) and overlays/NAME.jpg for each image; for each
video a class map per frame, class_maps/NAME/000000.png, and a video, overlays/NAME.mp4.

Files that cannot be read are skipped and named at the end; the exit code is then 1.

Example:
    segheads predict ccaseg_b0_ade20k iter_160000.pth photos street.mp4 --out predictions
"""

import argparse
import sys
from pathlib import Path

from .arguments import add_device_argument, add_trust_argument, positive, share


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of this command."""
    parser.add_argument('config', help='config file, or a name such as ccaseg_b0_ade20k')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'inputs', nargs='+', metavar='INPUT', help='image, video, folder (with all below) or glob'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('predictions'), metavar='FOLDER', help='where to write'
    )
    add_device_argument(parser)
    parser.add_argument(
        '--batch-size', type=positive, default=1, help='images of one size taken at once'
    )
    parser.add_argument('--opacity', type=share, default=0.5, help='of the colours, from 0 to 1')
    parser.add_argument('--no-legend', action='store_true', help='overlays without a legend')
    add_trust_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Predicts as the command line says.

    Raises:
        SystemExit: With code 1, if files were skipped.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from segheads.checkpoints import trust_checkpoints
    from segheads.inference import load
    from segheads.inference.files import (
        Settings,
        find_files,
        is_video,
        make_folder,
        name_outputs,
        predict_images,
    )
    from segheads.inference.videos import predict_video

    folders = [options.out / 'class_maps', options.out / 'overlays']
    names = name_outputs(find_files(options.inputs, folders))
    for folder in folders:
        make_folder(folder)
    with trust_checkpoints(options.trust_checkpoint):
        model = load(options.config, options.checkpoint, options.device)
    settings = Settings(
        model, *folders, options.batch_size, options.opacity, legend=not options.no_legend
    )
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    videos = {file: name for file, name in names.items() if is_video(file)}
    images = {file: name for file, name in names.items() if file not in videos}
    with Progress(*columns) as progress:
        skipped = predict_images(images, settings, progress)
        for file, name in videos.items():
            skipped += predict_video(file, name, settings, progress)

    for file, name in names.items():
        if name != file.stem:
            print(f'{file} is written as {name}: another input has its name')
    done = len(names) - len(skipped)
    print(f'{done} of {len(names)} files predicted, results in {options.out.resolve()}')
    if skipped:
        print(f'skipped {len(skipped)}:', file=sys.stderr)
        for reason in skipped:
            print(f'  {reason}', file=sys.stderr)
        sys.exit(1)
