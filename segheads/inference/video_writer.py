"""Videos that browsers play."""

import os
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from segheads.mistakes import UserMistake

LARGEST_DENOMINATOR = 60_000


class VideoWriter:
    """Writes pictures of one size as a video, which appears when it is complete.

    PyAV writes H.264. Without it OpenCV writes VP9, which takes several times as long.

    Args:
        path (Path): The file, with the suffix ``.mp4``.
        frame_rate (float): Pictures per second.

    Examples:
        >>> with VideoWriter(Path('street.mp4'), 25) as video:
        ...     for picture in pictures:
        ...         video.write(picture)
    """

    def __init__(self, path: Path, frame_rate: float) -> None:
        self.path = path
        self.frame_rate = frame_rate
        self.unfinished = path.with_name(f'.{path.stem}.{os.getpid()}.unfinished.mp4')
        self._stream: _H264 | _VP9 | None = None

    def __enter__(self) -> 'VideoWriter':
        return self

    def write(self, picture: np.ndarray) -> None:
        """Adds a picture.

        Args:
            picture (numpy.ndarray): (H, W, 3) in uint8, red first, of even sides.

        Raises:
            UserMistake: If the file cannot be written.
        """
        if self._stream is None:
            kind = _H264 if find_spec('av') else _VP9
            self._stream = kind(self.unfinished, picture.shape[:2], self.frame_rate)
        self._stream.write(np.ascontiguousarray(picture))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._stream is not None:
            self._stream.close()
            if error is None:
                os.replace(self.unfinished, self.path)
        self.unfinished.unlink(missing_ok=True)


class _H264:
    def __init__(self, path: Path, size: tuple[int, int], frame_rate: float) -> None:
        import av

        self.container = av.open(str(path), 'w', 'mp4', options=dict(movflags='faststart'))
        rate = Fraction(frame_rate).limit_denominator(LARGEST_DENOMINATOR)
        self.stream = self.container.add_stream('libx264', rate)
        self.stream.height, self.stream.width = size
        # The only one that all browsers play.
        self.stream.pix_fmt = 'yuv420p'

    def write(self, picture: np.ndarray) -> None:
        import av

        frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
        self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        self.container.mux(self.stream.encode())
        self.container.close()


class _VP9:
    def __init__(self, path: Path, size: tuple[int, int], frame_rate: float) -> None:
        codec = cv2.VideoWriter_fourcc(*'vp09')
        self.writer = cv2.VideoWriter(str(path), codec, frame_rate, size[::-1])
        if not self.writer.isOpened():
            raise UserMistake(
                f'OpenCV cannot write the video {path.parent}; install PyAV, which can: '
                '`pip install "segheads[video]"` (in a clone: `pip install -e ".[video]"`)'
            )

    def write(self, picture: np.ndarray) -> None:
        self.writer.write(picture[..., ::-1].copy())

    def close(self) -> None:
        self.writer.release()
