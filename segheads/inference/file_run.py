"""A run over files: what is the same for all of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .georeference import Georeference, read_georeference
from .output_files import (
    OutputFiles,
    save_class_map,
    save_content,
    save_probabilities,
    save_scores,
)
from .polygon_files import as_json, coco, geojson
from .predictor import Predictor
from .probabilities import Prediction
from .regions import Region


@dataclass(frozen=True)
class FileRun:
    """What is the same for all files.

    Args:
        predictor (Predictor): The model.
        outputs (OutputFiles): Where results go.
        opacity (float): Of the colours in overlays.
        legend (bool): Whether overlays have a legend.
        resume (bool): Whether to go on with rasters of which blocks are finished.
    """

    predictor: Predictor
    outputs: OutputFiles
    opacity: float = 0.5
    legend: bool = True
    resume: bool = False


def save_prediction(
    prediction: Prediction,
    paths: Mapping[str, Path],
    run: FileRun,
    georeference: Georeference | None = None,
) -> None:
    """Writes a class map and what was asked for beside it.

    Args:
        prediction (Prediction): What was predicted.
        paths (Mapping): Files by kind of result.
        run (FileRun): What is the same for all files.
        georeference (Georeference | None): Where the pixels lie. Default: None.
    """
    meta = run.predictor.model.dataset_meta
    if prediction.scores is not None and 'scores' in paths:
        save_scores(prediction.scores, paths['scores'], georeference)
    if prediction.probabilities is not None:
        save_probabilities(prediction.probabilities, paths['probabilities'], meta)
    save_class_map(prediction.class_map, paths['class_maps'], meta, georeference)


def save_regions(
    regions: Iterable[Region], file: Path, size: tuple[int, int], path: Path, run: FileRun
) -> None:
    """Writes the connected regions of a class map as polygons.

    Args:
        regions (Iterable[Region]): The regions.
        file (Path): The image.
        size (tuple[int, int]): Its height and width.
        path (Path): The file to write.
        run (FileRun): What is the same for all files.
    """
    classes = run.predictor.model.dataset_meta['classes']
    if run.outputs.polygons == 'coco':
        content = coco(regions, classes, file.name, size)
    else:
        georeference = read_georeference(file)
        content = geojson(regions, classes, georeference and georeference.locator())
    save_content(as_json(content), path)
