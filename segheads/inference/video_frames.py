"""Videos, frame by frame."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from segheads.mistakes import UserMistake


def read_video(file: Path) -> Iterator[np.ndarray]:
    """Reads the frames of a video.

    Args:
        file (Path): The video.

    Returns:
        Iterator[numpy.ndarray]: Frames, (H, W, 3) in uint8, red first.

    Raises:
        UserMistake: If there is no such file, or no frame in it that can be read.
    """
    if not file.is_file():
        raise UserMistake(f'the video {file} does not exist')
    frames = read_frames(cv2.VideoCapture(str(file)))
    first = next(frames, None)
    if first is None:
        raise UserMistake(f'{file} holds no frame that OpenCV can read')
    return chain([first], frames)


def read_frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Reads frame after frame of an opened video as (H, W, 3) in uint8, red first."""
    while True:
        is_frame, frame = capture.read()
        if not is_frame:
            return
        yield frame[..., ::-1]
