"""Class maps and overlays of videos."""

from pathlib import Path

import cv2
import numpy as np
from rich.progress import Progress

from segheads.mistakes import UserMistake

from .drawing import class_areas, draw_legend, paint
from .file_run import FileRun, save_prediction
from .output_files import make_folder, remove_frames
from .predictor import batches_of_one_size
from .video_frames import read_frames
from .video_writer import VideoWriter

USUAL_FRAME_RATE = 25.0
# A video keeps its height, so its legend has room for the largest classes only.
VIDEO_LEGEND_ROWS = 2


def predict_video(file: Path, name: str, run: FileRun, progress: Progress) -> list[str]:
    """Predicts a video frame by frame.

    Args:
        file (Path): The video.
        name (str): Name of the results.
        run (FileRun): What is the same for all files.
        progress (Progress): Shows how far it is.

    Returns:
        list[str]: Why the video could not be predicted; empty if it was.
    """
    capture = cv2.VideoCapture(str(file))
    expected = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    task = progress.add_task(file.name, total=expected if expected > 0 else None)
    folders = run.outputs.of(file, name)
    overlay = folders.pop('overlays')
    remove_frames(folders.values())
    make_folder(overlay.parent)
    areas = np.zeros(len(run.predictor.model.dataset_meta['classes']), dtype=np.int64)
    index = 0
    rate = capture.get(cv2.CAP_PROP_FPS) or USUAL_FRAME_RATE
    with VideoWriter(overlay, rate) as video:
        for batch in batches_of_one_size(
            read_frames(capture), lambda frame: frame.shape, run.predictor.batch_size
        ):
            try:
                predictions = run.predictor(batch)
            except UserMistake as mistake:  # all are too small
                return [f'{file}: {mistake}']
            for frame, prediction in zip(batch, predictions, strict=True):
                areas += class_areas(prediction.class_map, len(areas))
                video.write(draw_frame(frame, prediction.class_map, areas, run))
                paths = {
                    kind: folder / f'{index:06d}{".npz" if kind == "probabilities" else ".png"}'
                    for kind, folder in folders.items()
                }
                save_prediction(prediction, paths, run)
                index += 1
                progress.advance(task)
    progress.update(task, total=index)
    return [] if index else [f'{file} holds no frame that OpenCV can read']


def draw_frame(
    frame: np.ndarray, class_map: np.ndarray, areas: np.ndarray, run: FileRun
) -> np.ndarray:
    """Draws a class map over a frame, in a picture of the same size for all frames.

    Args:
        frame (numpy.ndarray): (H, W, 3) in uint8.
        class_map (numpy.ndarray): Class indices, (H, W).
        areas (numpy.ndarray): Pixels of each class in all frames so far, so that the order in the
            legend settles.
        run (FileRun): What is the same for all files.

    Returns:
        numpy.ndarray: The picture. Its sides are even, which the codec asks for.
    """
    meta = run.predictor.model.dataset_meta
    picture = paint(frame, class_map, meta['palette'], run.opacity)
    if run.legend:
        strip = draw_legend(
            areas, meta['classes'], meta['palette'], frame.shape[1], rows=VIDEO_LEGEND_ROWS
        )
        picture = np.concatenate([picture, np.asarray(strip)])
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')
