"""Images in files, to class maps and overlays in files."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from segheads.mistakes import UserMistake

from .drawing import draw
from .file_run import FileRun, save_prediction, save_regions
from .georeference import is_large, read_georeference
from .images import LoadedImage
from .input_files import is_video
from .output_files import JPEG_QUALITY, save_image
from .predictor import batches_of_one_size
from .rasters import predict_raster
from .regions import find_regions
from .videos import predict_video


def predict_files(names: Mapping[Path, str], run: FileRun, progress: bool = True) -> list[str]:
    """Predicts images and videos.

    Args:
        names (Mapping): Names of the results by file.
        run (FileRun): What is the same for all files.
        progress (bool): Whether to show how far it is. Default: True.

    Returns:
        list[str]: Which files could not be predicted, and why.
    """
    videos = {file: name for file, name in names.items() if is_video(file)}
    rasters = {file: name for file, name in names.items() if is_large(file, run.outputs.window)}
    images = {file: names[file] for file in names if file not in videos | rasters}
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not progress) as shown:
        skipped = predict_images(images, run, shown)
        for file, name in rasters.items():
            skipped += predict_raster(file, name, run, shown)
        for file, name in videos.items():
            skipped += predict_video(file, name, run, shown)
    return skipped


def predict_images(names: Mapping[Path, str], run: FileRun, progress: Progress) -> list[str]:
    """Predicts images, those of one size together.

    Args:
        names (Mapping): Names of the results by image.
        run (FileRun): What is the same for all files.
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
                image = run.predictor.read(file)
            except UserMistake as mistake:
                skipped.append(str(mistake))
                progress.advance(task)
            else:
                yield file, image

    batch_size = run.predictor.batch_size
    for batch in batches_of_one_size(images(), lambda item: item[1].shape, batch_size):
        try:
            predictions = run.predictor([image for _, image in batch])
        except UserMistake as mistake:  # all are too small
            skipped += [f'{file}: {mistake}' for file, _ in batch]
            progress.advance(task, len(batch))
            continue
        for (file, image), prediction in zip(batch, predictions, strict=True):
            paths = run.outputs.of(file, names[file])
            model = run.predictor.model
            overlay = draw(model, image, prediction.class_map, run.opacity, run.legend)
            save_image(overlay, paths['overlays'], quality=JPEG_QUALITY)
            if 'polygons' in paths:
                regions = find_regions(prediction.class_map, run.outputs.min_area)
                size = prediction.class_map.shape
                save_regions(regions, file, size, paths['polygons'], run)
            save_prediction(prediction, paths, run, read_georeference(file))
            progress.advance(task)
    return skipped
