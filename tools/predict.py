"""Predict class maps of images and videos, and draw them.

Writes class_maps/NAME.png (class index per pixel) and overlays/NAME.jpg for each image; for each
video a class map per frame, class_maps/NAME/000000.png, and a video, overlays/NAME.mp4.

Files that cannot be read are skipped and named at the end; the exit code is then 1.

Example:
    python tools/predict.py ccaseg_b0_ade20k iter_160000.pth photos street.mp4 --out predictions
"""

import argparse
import glob
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

import segheads
from segheads.checkpoints import trust_checkpoints
from segheads.commands.command_line import add_trust_argument, run_tool
from segheads.inference.drawing import class_areas, draw_legend, paint
from segheads.inference.images import read_image
from segheads.inference.prediction import batches_of_one_size
from segheads.mistakes import UserMistake

IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.gif', '.tif', '.tiff', '.webp'}
VIDEO_SUFFIXES = {'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm'}
USUAL_FRAME_RATE = 25.0
# A video keeps its height, so its legend has room for the largest classes only.
VIDEO_LEGEND_ROWS = 2


class Settings(NamedTuple):
    """What is the same for all files."""

    model: nn.Module
    class_maps: Path
    overlays: Path
    batch_size: int
    opacity: float
    legend: bool


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description='Predict class maps of images and videos')
    parser.add_argument('config', help='config file, or a name such as ccaseg_b0_ade20k')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        'inputs', nargs='+', metavar='INPUT', help='image, video, folder (with all below) or glob'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('predictions'), metavar='FOLDER', help='where to write'
    )
    parser.add_argument('--device', help='such as cpu or cuda:1; by default a GPU if there is one')
    parser.add_argument(
        '--batch-size', type=_positive, default=1, help='images of one size taken at once'
    )
    parser.add_argument('--opacity', type=_share, default=0.5, help='of the colours, from 0 to 1')
    parser.add_argument('--no-legend', action='store_true', help='overlays without a legend')
    add_trust_argument(parser)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Predicts as the command line says.

    Args:
        arguments (Sequence[str] | None): The command line; None for that of the process.

    Raises:
        SystemExit: With code 1, if files were skipped.
    """
    options = parse_arguments(arguments)
    folders = [options.out / 'class_maps', options.out / 'overlays']
    names = name_outputs(find_files(options.inputs, folders))
    for folder in folders:
        make_folder(folder)
    with trust_checkpoints(options.trust_checkpoint):
        model = segheads.load(options.config, options.checkpoint, options.device)
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


def find_files(inputs: Sequence[str], outputs: Sequence[Path]) -> list[Path]:
    """Finds the images and videos that the command line names.

    Args:
        inputs (Sequence[str]): Files, folders and globs. Files are taken whatever their suffix.
        outputs (Sequence[Path]): Folders that results are written to, which are left out of the
            folders above them.

    Returns:
        list[Path]: The files, each once.

    Raises:
        UserMistake: If an input names nothing.
    """
    files: dict[Path, Path] = {}
    own = [folder.resolve() for folder in outputs]
    for text in inputs:
        path = Path(text).expanduser()
        if path.is_file():
            found = [path]
        elif path.is_dir():
            found = [
                file
                for file in sorted(path.rglob('*'))
                if file.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES
                and not file.name.startswith('.')
                and not any(file.resolve().is_relative_to(folder) for folder in own)
            ]
        else:
            matches = sorted(glob.glob(str(path), recursive=True))
            found = [Path(match) for match in matches if Path(match).is_file()]
        if not found:
            what = 'holds no image and no video' if path.is_dir() else 'does not exist'
            raise UserMistake(f'{text} {what}; give images, videos, folders or globs')
        for file in found:
            files.setdefault(file.resolve(), file)
    return list(files.values())


def name_outputs(files: Sequence[Path]) -> dict[Path, str]:
    """Gives each file's results a name of their own: its stem, with a number where it is taken.

    Args:
        files (Sequence[Path]): The inputs.

    Returns:
        dict[Path, str]: Names by input. They differ also where capitals count for nothing.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for file in files:
        name, number = file.stem, 1
        while name.lower() in taken:
            number += 1
            name = f'{file.stem}_{number}'
        taken.add(name.lower())
        names[file] = name
    return names


def predict_images(names: dict[Path, str], settings: Settings, progress: Progress) -> list[str]:
    """Predicts images, those of one size together.

    Args:
        names (dict[Path, str]): Names of the results by image.
        settings (Settings): What is the same for all files.
        progress (Progress): Shows how far it is.

    Returns:
        list[str]: Which images could not be predicted, and why.
    """
    if not names:
        return []
    skipped: list[str] = []
    task = progress.add_task('images', total=len(names))

    def images() -> Iterator[tuple[Path, np.ndarray]]:
        for file in names:
            try:
                pixels = read_image(file)
            except UserMistake as mistake:
                skipped.append(str(mistake))
                progress.advance(task)
            else:
                yield file, pixels

    for batch in batches_of_one_size(images(), lambda item: item[1].shape, settings.batch_size):
        try:
            class_maps = segheads.predict(
                settings.model, [pixels for _, pixels in batch], settings.batch_size
            )
        except UserMistake as mistake:  # all are too small
            skipped += [f'{file}: {mistake}' for file, _ in batch]
            progress.advance(task, len(batch))
            continue
        for (file, pixels), class_map in zip(batch, class_maps, strict=True):
            save_class_map(class_map, settings.class_maps / f'{names[file]}.png', settings.model)
            overlay = segheads.draw(
                settings.model, pixels, class_map, settings.opacity, settings.legend
            )
            save(overlay, settings.overlays / f'{names[file]}.jpg', quality=92)
            progress.advance(task)
    return skipped


def predict_video(file: Path, name: str, settings: Settings, progress: Progress) -> list[str]:
    """Predicts a video frame by frame.

    Args:
        file (Path): The video.
        name (str): Name of the results.
        settings (Settings): What is the same for all files.
        progress (Progress): Shows how far it is.

    Returns:
        list[str]: Why the video could not be predicted; empty if it was.
    """
    capture = cv2.VideoCapture(str(file))
    expected = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    task = progress.add_task(file.name, total=expected if expected > 0 else None)
    areas = np.zeros(len(settings.model.dataset_meta['classes']), dtype=np.int64)
    batches = batches_of_one_size(
        read_frames(capture), lambda frame: frame.shape, settings.batch_size
    )
    writer = None
    index = 0
    for batch in batches:
        try:
            class_maps = segheads.predict(settings.model, batch, settings.batch_size)
        except UserMistake as mistake:  # all are too small
            return [f'{file}: {mistake}']
        for frame, class_map in zip(batch, class_maps, strict=True):
            areas += class_areas(class_map, len(areas))
            picture = draw_frame(frame, class_map, areas, settings)
            if writer is None:
                make_folder(settings.class_maps / name)
                rate = capture.get(cv2.CAP_PROP_FPS) or USUAL_FRAME_RATE
                writer = open_writer(settings.overlays / f'{name}.mp4', picture, rate)
            path = settings.class_maps / name / f'{index:06d}.png'
            save_class_map(class_map, path, settings.model)
            writer.write(np.ascontiguousarray(picture[..., ::-1]))
            index += 1
            progress.advance(task)
    if writer is None:
        return [f'{file} holds no frame that OpenCV can read']
    # Until it is released, the end of the file is missing.
    writer.release()
    progress.update(task, total=index)
    return []


def read_frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Reads frame after frame as (H, W, 3) in uint8, red first."""
    while True:
        is_frame, frame = capture.read()
        if not is_frame:
            return
        yield frame[..., ::-1]


def draw_frame(
    frame: np.ndarray, class_map: np.ndarray, areas: np.ndarray, settings: Settings
) -> np.ndarray:
    """Draws a class map over a frame, in a picture of the same size for all frames.

    Args:
        frame (numpy.ndarray): (H, W, 3) in uint8.
        class_map (numpy.ndarray): Class indices, (H, W).
        areas (numpy.ndarray): Pixels of each class in all frames so far, so that the order in the
            legend settles.
        settings (Settings): What is the same for all files.

    Returns:
        numpy.ndarray: The picture. Its sides are even, which the codec asks for.
    """
    meta = settings.model.dataset_meta
    picture = paint(frame, class_map, meta['palette'], settings.opacity)
    if settings.legend:
        strip = draw_legend(
            areas, meta['classes'], meta['palette'], frame.shape[1], rows=VIDEO_LEGEND_ROWS
        )
        picture = np.concatenate([picture, np.asarray(strip)])
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')


def open_writer(path: Path, picture: np.ndarray, frame_rate: float) -> cv2.VideoWriter:
    """Opens a video of pictures of one size for writing."""
    height, width = picture.shape[:2]
    codec = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), codec, frame_rate, (width, height))
    if not writer.isOpened():
        raise UserMistake(
            f'OpenCV cannot write the video {path}; its opencv-python wheels can, builds without '
            'FFmpeg cannot'
        )
    return writer


def save_class_map(class_map: np.ndarray, path: Path, model: nn.Module) -> None:
    """Writes class indices as grey PNG: 8 bits, or 16 where there are more than 256 classes."""
    kind = np.uint8 if len(model.dataset_meta['classes']) <= 256 else np.uint16
    save(Image.fromarray(class_map.astype(kind)), path)


def save(image: Image.Image, path: Path, **settings: int) -> None:
    """Writes an image; a full disk is told in a sentence."""
    try:
        image.save(path, **settings)
    except OSError as error:
        raise UserMistake(f'{path} cannot be written: {error.strerror or error}') from error


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; what forbids it is told in a sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake(f'the folder {folder} cannot be made: {error.strerror}') from error


def is_video(file: Path) -> bool:
    """Tells videos by their suffix."""
    return file.suffix.lower() in VIDEO_SUFFIXES


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f'must be an integer of 1 or more, but is {text!r}')
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f'must be a number from 0 to 1, but is {text!r}')
    return value


if __name__ == '__main__':
    run_tool(main)
