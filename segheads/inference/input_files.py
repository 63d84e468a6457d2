"""The images and videos that are named for a prediction, and what their results are called."""

import glob
from collections.abc import Sequence
from pathlib import Path

from segheads.mistakes import UserMistake

from .output_names import told_apart

IMAGE_SUFFIXES = {'.jpg', '.jpeg', '.png', '.bmp', '.gif', '.tif', '.tiff', '.webp'}
VIDEO_SUFFIXES = {'.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm'}


def find_files(inputs: Sequence[str], outputs: Sequence[Path]) -> dict[Path, str]:
    """Finds the images and videos that the command line names.

    Args:
        inputs (Sequence[str]): Files, folders and globs. Files are taken whatever their suffix.
        outputs (Sequence[Path]): Folders that results are written to, which are left out of the
            folders above them.

    Returns:
        dict[Path, str]: The files, each once, and by file the name of its results: its place below
        the folder that was given, without suffix. No two are the same.

    Raises:
        UserMistake: If an input names nothing.
    """
    files: dict[Path, tuple[Path, str]] = {}
    own = [folder.resolve() for folder in outputs]
    for text in inputs:
        path = Path(text).expanduser()
        if path.is_file():
            found = {path: path.name}
        elif path.is_dir():
            found = {
                file: file.relative_to(path).as_posix()
                for file in files_below(path, IMAGE_SUFFIXES | VIDEO_SUFFIXES)
                if not any(file.resolve().is_relative_to(folder) for folder in own)
            }
        else:
            matches = sorted(glob.glob(str(path), recursive=True))
            found = {Path(match): Path(match).name for match in matches if Path(match).is_file()}
        if not found:
            what = 'holds no image and no video' if path.is_dir() else 'does not exist'
            raise UserMistake(f'{text} {what}; give images, videos, folders or globs')
        for file, name in found.items():
            files.setdefault(file.resolve(), (file, name))
    names = told_apart(dict(files.values()))
    for file, name in names.items():
        # Its frames get a folder of this name, which must not be that of other results.
        if is_video(file) and any(each.startswith(f'{name}/') for each in names.values()):
            names[file] = f'{name}{file.suffix}'
    return names


def image_files(folder: Path) -> list[Path]:
    """Finds the images in a folder and in all below.

    Args:
        folder (Path): The folder.

    Returns:
        list[Path]: The images, sorted.

    Raises:
        UserMistake: If there is none.
    """
    found = files_below(folder, IMAGE_SUFFIXES)
    if not found:
        raise UserMistake(f'{folder} holds no image ({", ".join(sorted(IMAGE_SUFFIXES))})')
    return found


def files_below(folder: Path, suffixes: set[str]) -> list[Path]:
    """Lists the files of some suffixes in a folder and in all below, without hidden ones."""
    return [
        file
        for file in sorted(folder.rglob('*'))
        if file.suffix.lower() in suffixes
        and not any(part.startswith('.') for part in file.relative_to(folder).parts)
        and file.is_file()
    ]


def is_video(file: Path) -> bool:
    """Tells videos by their suffix."""
    return file.suffix.lower() in VIDEO_SUFFIXES
