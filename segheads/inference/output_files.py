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

from segheads.data.palette_masks import palette_image, type_of_ids
from segheads.mistakes import UserMistake
from segheads.training.atomic_files import write_atomically

from .georeference import Georeference, is_large, is_tiff, read_georeference, written
from .input_files import is_video
from .polygon_files import SUFFIXES

LARGEST_SCORE = 65535
JPEG_QUALITY = 92
FRAME = re.compile(r'\d{6,}\.(png|npz)')


@dataclass(frozen=True)
class OutputFiles:
    """The files that are written for inputs.

    Args:
        folder (Path): What ``--out`` names.
        scores (bool): Whether the probability of each pixel's class is written. Default: False.
        probabilities (bool): Whether those of all classes are. Default: False.
        polygons (str | None): As what connected regions are written: 'geojson' or 'coco'.
            Default: None, which writes none.
        min_area (int): The smallest region in pixels. Default: 1.
        window (int | None): Which rasters are predicted window by window, see
            :func:`segheads.inference.georeference.is_large`. Default: None.
    """

    folder: Path
    scores: bool = False
    probabilities: bool = False
    polygons: str | None = None
    min_area: int = 1
    window: int | None = None

    def folders(self) -> dict[str, Path]:
        """Returns the folder of each kind of result."""
        kinds = ['class_maps', 'overlays']
        kinds += ['scores'] if self.scores else []
        kinds += ['probabilities'] if self.probabilities else []
        kinds += ['polygons'] if self.polygons else []
        return {kind: self.folder / kind for kind in kinds}

    def of(self, file: Path, name: str) -> dict[str, Path]:
        """Returns the path of each kind of result of an input.

        Args:
            file (Path): The input.
            name (str): Name of its results.

        Returns:
            dict[str, Path]: Files; of a video folders with a file per frame, but for its overlay.
            GeoTIFFs and rasters that are predicted window by window become TIFF.
        """
        folders = self.folders()
        if is_video(file):
            folders.pop('polygons', None)
            suffixes = dict(overlays='.mp4')
        else:
            is_raster = read_georeference(file) or is_large(file, self.window)
            values = '.tif' if is_raster else '.png'
            suffixes = dict(
                class_maps=values,
                overlays='.jpg',
                scores=values,
                probabilities='.npz',
                polygons=SUFFIXES.get(self.polygons),
            )
        return {kind: path / f'{name}{suffixes.get(kind, "")}' for kind, path in folders.items()}

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


def save_class_map(
    class_map: np.ndarray,
    path: Path,
    meta: Mapping[str, Any],
    georeference: Georeference | None = None,
) -> None:
    """Writes class indices, see :func:`segheads.data.palette_masks.palette_image`.

    Args:
        class_map (numpy.ndarray): Class indices, (H, W).
        path (Path): The file, ``.png`` or ``.tif``.
        meta (Mapping): The ``dataset_meta`` of the model, which has the colours.
        georeference (Georeference | None): Where the pixels lie, for ``.tif``. Default: None.
    """
    if is_tiff(path):
        dtype = type_of_ids(len(meta['classes']))
        with written(path, class_map.shape, dtype, georeference, meta['palette']) as raster:
            raster.write(class_map.astype(dtype), 1)
    else:
        save_image(palette_image(class_map, meta['palette']), path)


def save_scores(scores: np.ndarray, path: Path, georeference: Georeference | None = None) -> None:
    """Writes probabilities in 16 bits: 65535 stands for 1.

    Args:
        scores (numpy.ndarray): From 0 to 1, (H, W).
        path (Path): The file, ``.png`` or ``.tif``.
        georeference (Georeference | None): Where the pixels lie, for ``.tif``. Default: None.
    """
    values = as_16_bits(scores)
    if is_tiff(path):
        with written(path, scores.shape, 'uint16', georeference) as raster:
            raster.write(values, 1)
    else:
        save_image(Image.fromarray(values), path)


def as_16_bits(scores: np.ndarray) -> np.ndarray:
    """Makes 0 to 65535 of probabilities."""
    return np.rint(scores * LARGEST_SCORE).astype(np.uint16)


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
