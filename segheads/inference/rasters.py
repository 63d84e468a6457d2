"""Rasters that are larger than memory, to GeoTIFF."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from segheads.data.palette_masks import type_of_ids
from segheads.mistakes import UserMistake

from .drawing import draw
from .file_run import FileRun, save_regions
from .georeference import opened, read_georeference, written
from .images import LoadedImage
from .output_files import JPEG_QUALITY, as_16_bits, make_folder, save_content, save_image
from .predictor import Predictor
from .raster_windows import Span, Windows, sliding, windows_of
from .regions import Region, signed_area

OVERLAY_SIDE = 2048
SETTINGS = 'settings.json'


def predict_raster(file: Path, name: str, run: FileRun, progress: Progress) -> list[str]:
    """Predicts a raster block by block, in memory that does not depend on its size.

    Finished blocks lie in a hidden folder beside the class map until all are done.

    Args:
        file (Path): The raster.
        name (str): Name of the results.
        run (FileRun): What is the same for all files.
        progress (Progress): Shows how far it is.

    Returns:
        list[str]: Why it could not be predicted; empty if it was.
    """
    paths = run.outputs.of(file, name)
    model = run.predictor.model
    try:
        if run.predictor.probabilities or run.predictor.augmented:
            raise UserMistake(
                'window by window there are neither --probabilities nor --tta; predict it without'
            )
        windows = windows_of(model, run.outputs.window)
        with opened(file) as raster:
            size = raster.height, raster.width
            blocks = windows.blocks(size)
            parts = paths['class_maps'].with_name(f'.{paths["class_maps"].stem}.parts')
            _prepare_parts(parts, _settings(file, run, windows), run.resume)
            task = progress.add_task(file.name, total=len(blocks))
            with sliding(model, windows):
                for index, (rows, columns) in enumerate(blocks):
                    part = parts / f'{index:06d}.npz'
                    if not part.exists():
                        save_content(_predict_block(raster, rows, columns, run), part)
                    progress.advance(task)
            _assemble(file, raster, blocks, parts, paths, run)
            _draw_overview(raster, paths, run)
            if run.outputs.polygons:
                save_regions(_regions(paths['class_maps'], run), file, size, paths['polygons'], run)
    except UserMistake as mistake:
        return [f'{file}: {mistake}']
    shutil.rmtree(parts)
    return []


def read_window(predictor: Predictor, raster: Any, window: Any, **settings: Any) -> LoadedImage:
    """Reads a part of a raster as the config reads files.

    Args:
        predictor (Predictor): The model's.
        raster (Any): An opened data set of rasterio.
        window (Any): ``((top, bottom), (left, right))``; None for all of it.
        **settings (Any): For ``read`` of the data set.

    Returns:
        LoadedImage: The part.

    Raises:
        UserMistake: If it is damaged, or of another kind than the config reads.
    """
    from rasterio.errors import RasterioError

    try:
        pixels = raster.read(window=window, **settings).transpose(1, 2, 0)
    except RasterioError as error:
        raise UserMistake(f'it cannot be read: {error}') from error
    bands = getattr(predictor.read.pipeline.loader, 'bands', None)
    return predictor.read(np.ascontiguousarray(pixels if bands is None else pixels[..., bands]))


def _predict_block(raster: Any, rows: Span, columns: Span, run: FileRun) -> bytes:
    """Returns the class indices of a block, and their scores, as the content of a file."""
    window = (rows.read_start, rows.read_stop), (columns.read_start, columns.read_stop)
    image = read_window(run.predictor, raster, window)
    inputs = run.predictor.prepare(image)['inputs'][0]
    if inputs.shape[1:] != image.shape[:2]:
        raise UserMistake(
            f'the test pipeline makes {inputs.shape[1]}x{inputs.shape[2]} pixels of '
            f'{image.shape[0]}x{image.shape[1]}, and so every window would be resized for itself; '
            'leave Resize out of the test pipeline, and resize the raster if need be'
        )
    (prediction,) = run.predictor([image])
    part = dict(class_map=prediction.class_map[rows.core, columns.core].astype(_type_of_ids(run)))
    if prediction.scores is not None and run.outputs.scores:
        scores = prediction.scores[rows.core, columns.core]
        part['scores'] = as_16_bits(scores)
    content = io.BytesIO()
    np.savez_compressed(content, **part)
    return content.getvalue()


def _assemble(
    file: Path,
    raster: Any,
    blocks: list[tuple[Span, Span]],
    parts: Path,
    paths: dict[str, Path],
    run: FileRun,
) -> None:
    size = raster.height, raster.width
    place = read_georeference(file)
    colours = run.predictor.model.dataset_meta['palette']
    # Scores first: the class map tells that all is complete.
    for kind, entry, dtype, palette in (
        ('scores', 'scores', 'uint16', None),
        ('class_maps', 'class_map', _type_of_ids(run), colours),
    ):
        if kind not in paths:
            continue
        with written(paths[kind], size, dtype, place, palette) as target:
            for index, (rows, columns) in enumerate(blocks):
                with np.load(parts / f'{index:06d}.npz') as part:
                    window = (rows.start, rows.stop), (columns.start, columns.stop)
                    target.write(part[entry], 1, window=window)


def _draw_overview(raster: Any, paths: dict[str, Path], run: FileRun) -> None:
    """Draws the class map over the raster, both in small."""
    factor = min(1, OVERLAY_SIDE / max(raster.height, raster.width))
    size = max(round(raster.height * factor), 1), max(round(raster.width * factor), 1)
    image = read_window(run.predictor, raster, None, out_shape=(raster.count, *size))
    with opened(paths['class_maps']) as class_map:
        small = class_map.read(1, out_shape=size).astype(np.int64)
    overlay = draw(run.predictor.model, image, small, run.opacity, run.legend)
    save_image(overlay, paths['overlays'], quality=JPEG_QUALITY)


def _regions(class_map: Path, run: FileRun) -> Iterator[Region]:
    """Finds the connected regions of a class map that is read line by line."""
    from rasterio import band
    from rasterio.features import shapes

    with opened(class_map) as raster:
        place = ~raster.transform

        def to_pixels(ring: np.ndarray) -> np.ndarray:
            # GDAL returns coordinates of the file; corners lie between whole pixels.
            x, y = ring.T
            columns = place.a * x + place.b * y + place.c
            return np.rint(np.stack([columns, place.d * x + place.e * y + place.f], axis=1))

        for polygon, class_id in shapes(band(raster, 1), connectivity=4):
            rings = [to_pixels(np.array(ring[:-1])) for ring in polygon['coordinates']]
            areas = [abs(signed_area(ring)) for ring in rings]
            area = round(areas[0] - sum(areas[1:]))
            if area >= run.outputs.min_area:
                yield Region(int(class_id), area, rings)


def _type_of_ids(run: FileRun) -> str:
    return type_of_ids(len(run.predictor.model.dataset_meta['classes']))


def _settings(file: Path, run: FileRun, windows: Windows) -> dict[str, Any]:
    """Returns what parts of an earlier run must share with this one."""
    stat = file.stat()
    digest = hashlib.sha256()
    for name, value in run.predictor.model.state_dict().items():
        digest.update(name.encode())
        digest.update(str(value.double().sum().item()).encode())
    return dict(
        size=stat.st_size,
        changed=stat.st_mtime_ns,
        windows=json.loads(json.dumps(windows)),
        scores=run.outputs.scores,
        weights=digest.hexdigest(),
    )


def _prepare_parts(parts: Path, settings: dict[str, Any], resume: bool) -> None:
    """Makes the folder of finished blocks, without those of another run."""
    noted = parts / SETTINGS
    if noted.is_file() and resume and json.loads(noted.read_text()) == settings:
        return
    if parts.is_dir():
        shutil.rmtree(parts)
    make_folder(parts)
    save_content(json.dumps(settings).encode(), noted)
