"""Class maps and overlays of images in files."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.progress import Progress
from torch import nn

from segheads.mistakes import UserMistake

from .drawing import draw
from .images import LoadedImage, read_image
from .prediction import batches_of_one_size, predict

IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.gif', '.tif', '.tiff', '.webp'}
VIDEO_SUFFIXES = {'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm'}


class Settings(NamedTuple):
    """What is the same for all files."""

    model: nn.Module
    class_maps: Path
    overlays: Path
    batch_size: int
    opacity: float
    legend: bool


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

    def images() -> Iterator[tuple[Path, LoadedImage]]:
        for file in names:
            try:
                image = read_image(settings.model, file)
            except UserMistake as mistake:
                skipped.append(str(mistake))
                progress.advance(task)
            else:
                yield file, image

    for batch in batches_of_one_size(images(), lambda item: item[1].shape, settings.batch_size):
        try:
            class_maps = predict(settings.model, [image for _, image in batch], settings.batch_size)
        except UserMistake as mistake:  # all are too small
            skipped += [f'{file}: {mistake}' for file, _ in batch]
            progress.advance(task, len(batch))
            continue
        for (file, image), class_map in zip(batch, class_maps, strict=True):
            save_class_map(class_map, settings.class_maps / f'{names[file]}.png', settings.model)
            overlay = draw(settings.model, image, class_map, settings.opacity, settings.legend)
            save(overlay, settings.overlays / f'{names[file]}.jpg', quality=92)
            progress.advance(task)
    return skipped


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
