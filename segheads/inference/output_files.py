"""Where a prediction of files writes, and what is there from an earlier run."""

import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segheads.data.palette_masks import palette_image
from segheads.mistakes import UserMistake
from segheads.training.atomic_files import write_atomically

from .input_files import is_video

LARGEST_SCORE = 65535
FRAME = re.compile(r'\d{6,}\.(png|npz)')


@dataclass(frozen=True)
class OutputFiles:
    """The files that are written for inputs.

    Args:
        folder (Path): What ``--out`` names.
        scores (bool): Whether the probability of each pixel's class is written. Default: False.
        probabilities (bool): Whether those of all classes are. Default: False.
    """

    folder: Path
    scores: bool = False
    probabilities: bool = False

    def folders(self) -> dict[str, Path]:
        """Returns the folder of each kind of result."""
        kinds = ['class_maps', 'overlays']
        kinds += ['scores'] if self.scores else []
        kinds += ['probabilities'] if self.probabilities else []
        return {kind: self.folder / kind for kind in kinds}

    def of(self, file: Path, name: str) -> dict[str, Path]:
        """Returns the path of each kind of result of an input.

        Args:
            file (Path): The input.
            name (str): Name of its results.

        Returns:
            dict[str, Path]: Files; of a video folders with a file per frame, but for its overlay.
        """
        suffixes = dict(class_maps='.png', overlays='.jpg', scores='.png', probabilities='.npz')
        if is_video(file):
            suffixes = dict(overlays='.mp4')
        return {
            kind: folder / f'{name}{suffixes.get(kind, "")}'
            for kind, folder in self.folders().items()
        }

    def prepare(self, names: Mapping[Path, str], overwrite: bool, resume: bool) -> dict[Path, str]:
        """Makes the folder, and looks for results of an earlier run.

        Args:
            names (Mapping): Names of the results by input.
            overwrite (bool): Whether they may be written over.
            resume (bool): Whether inputs are left out whose results are complete.

        Returns:
            dict[Path, str]: The inputs that are left.

        Raises:
            UserMistake: If there are results and neither is allowed, or if the folder cannot be
                made.
        """
        for folder in self.folders().values():
            make_folder(folder)
        paths = {file: self.of(file, name).values() for file, name in names.items()}
        if resume:
            return {file: names[file] for file in names if not all(map(Path.exists, paths[file]))}
        earlier = [path for each in paths.values() for path in each if path.exists()]
        if earlier and not overwrite:
            more = f' and {len(earlier) - 1} more' if len(earlier) > 1 else ''
            raise UserMistake(
                f'{earlier[0]}{more} would be written over; give --overwrite for that, --resume to '
                'predict only what has no result yet, or another folder by --out'
            )
        return dict(names)


def save_class_map(class_map: np.ndarray, path: Path, meta: Mapping[str, Any]) -> None:
    """Writes class indices as PNG, see :func:`segheads.data.palette_masks.palette_image`.

    Args:
        class_map (numpy.ndarray): Class indices, (H, W).
        path (Path): The file.
        meta (Mapping): The ``dataset_meta`` of the model, which has the colours.
    """
    save_image(palette_image(class_map, meta['palette']), path)


def save_scores(scores: np.ndarray, path: Path) -> None:
    """Writes probabilities as grey PNG of 16 bits: 65535 stands for 1.

    Args:
        scores (numpy.ndarray): From 0 to 1, (H, W).
        path (Path): The file.
    """
    save_image(Image.fromarray(np.rint(scores * LARGEST_SCORE).astype(np.uint16)), path)


def save_probabilities(probabilities: np.ndarray, path: Path, meta: Mapping[str, Any]) -> None:
    """Writes probabilities in half precision as ``.npz``, with the names of the classes.

    Args:
        probabilities (numpy.ndarray): (C, H, W).
        path (Path): The file.
        meta (Mapping): The ``dataset_meta`` of the model, which has the names.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content, probabilities=probabilities.astype(np.float16), classes=meta['classes']
    )
    save_content(content.getvalue(), path)


def save_image(image: Image.Image, path: Path, **settings: int) -> None:
    """Writes an image, all of it or nothing; the suffix says in which format."""
    content = io.BytesIO()
    image.save(content, Image.registered_extensions()[path.suffix], **settings)
    save_content(content.getvalue(), path)


def save_content(content: bytes, path: Path) -> None:
    """Writes a file, all of it or nothing; a full disk is told in a sentence."""
    try:
        write_atomically(content, path)
    except OSError as error:
        raise UserMistake(f'{path} cannot be written: {error.strerror or error}') from error


def remove_frames(folders: Iterable[Path]) -> None:
    """Removes the results of the frames of an earlier, perhaps longer, video."""
    for folder in folders:
        for file in folder.iterdir() if folder.is_dir() else ():
            if FRAME.fullmatch(file.name):
                os.unlink(file)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; what forbids it is told in a sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserMistake(f'the folder {folder} cannot be made: {error.strerror}') from error
