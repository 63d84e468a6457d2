"""Class maps and overlays of videos."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from rich.progress import Progress

from segheads.mistakes import UserMistake

from .drawing import class_areas, draw_legend, paint
from .files import Settings, make_folder, save_class_map
from .prediction import batches_of_one_size, predict

USUAL_FRAME_RATE = 25.0
# A video keeps its height, so its legend has room for the largest classes only.
VIDEO_LEGEND_ROWS = 2


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
            class_maps = predict(settings.model, batch, settings.batch_size)
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
