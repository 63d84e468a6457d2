"""Class maps from images of any kind, and the probabilities behind them."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmseg.models import BaseSegmentor
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor

from segheads.mistakes import UserMistake

from .images import ImageLike, LoadedImage
from .input_files import image_files, is_video
from .predictor import Predictor
from .probabilities import Prediction
from .video_frames import read_video

Result = np.ndarray | Prediction
ONE_IMAGE = (str, Path, bytes, bytearray, memoryview, Image.Image, np.ndarray, LoadedImage)


def predict(
    model: BaseSegmentor,
    images: ImageLike | Iterable[ImageLike],
    batch_size: int = 1,
    *,
    scores: bool = False,
    probabilities: bool = False,
    augmented: bool = False,
    progress: bool | None = None,
) -> Result | list[Result] | dict[Path, Result] | Iterator[Result]:
    """Predicts the class of every pixel.

    Images go through the test pipeline of the config, as in evaluation; files are read by its own
    loading transform, so that the model gets the pixels that it was trained on.

    Args:
        model (BaseSegmentor): As :func:`segheads.load` or MMSegmentation's ``init_model`` returns
            it.
        images (ImageLike | Iterable[ImageLike]): One image, of the kinds that
            :class:`segheads.inference.images.ImageReader` takes: a path, the content of a file as
            bytes, an image of Pillow, a NumPy array (H, W, C) or a tensor (C, H, W), red first.
            Or many, of any sizes: a list, a tuple, an iterator, a tensor (B, C, H, W), the path of
            a folder, which is searched with all folders below, or the path of a video.
        batch_size (int): How many images of one size the model takes at once. Default: 1.
        scores (bool): Whether to return the probability of each pixel's class too.
            Default: False.
        probabilities (bool): Whether to return the probabilities of all classes too.
            Default: False.
        augmented (bool): Whether to average over the views of the ``tta_pipeline`` of the config.
            Default: False.
        progress (bool | None): Whether a list or a folder shows how far it is, on stderr.
            Default: None, which shows it on a terminal.

    Returns:
        Of one image its class map, (H, W) in int64 and of the size of the image; with ``scores`` or
        ``probabilities`` a :class:`segheads.inference.Prediction`. Of a list, a tuple or a batch a
        list in the same order, of a folder a dict by path, of an iterator or a video an iterator,
        which predicts as it is asked.

    Raises:
        UserMistake: If there is no image, if one cannot be read, is too small for the model or has
            another number of channels, if ``batch_size`` is not positive, or if there is nothing to
            augment by.
    """
    predictor = Predictor(
        model, batch_size, scores=scores, probabilities=probabilities, augmented=augmented
    )
    only_class_maps = not (scores or probabilities)

    def results(many: Iterable[ImageLike]) -> Iterator[Result]:
        for prediction in _in_order(predictor, many):
            yield prediction.class_map if only_class_maps else prediction

    def all_results(many: list[ImageLike]) -> list[Result]:
        if not many:
            raise UserMistake('there is no image to predict: the list is empty')
        return list(_shown(results(many), len(many), progress))

    if isinstance(images, (str, Path)) and Path(images).expanduser().is_dir():
        files = image_files(Path(images).expanduser())
        return dict(zip(files, all_results(files), strict=True))
    if isinstance(images, (str, Path)) and is_video(Path(images)):
        return results(read_video(Path(images).expanduser()))
    if isinstance(images, Tensor):
        return all_results(list(images)) if images.ndim == 4 else next(results([images]))
    if isinstance(images, ONE_IMAGE):
        return next(results([images]))
    if isinstance(images, (list, tuple)):
        return all_results(list(images))
    if isinstance(images, Iterable) and not isinstance(images, Mapping) and not _is_file(images):
        return results(images)
    return next(results([images]))  # says what an image is


def _is_file(images: Any) -> bool:
    """Tells an open file, whose lines are no images."""
    return hasattr(images, 'read')


def _in_order(predictor: Predictor, images: Iterable[ImageLike]) -> Iterator[Prediction]:
    """Predicts in batches, and yields in the order of the images."""
    loaded = ((index, predictor.read(image)) for index, image in enumerate(images))
    waiting: dict[Any, Prediction] = {}
    following = 0
    for index, prediction in predictor.in_batches(loaded):
        waiting[index] = prediction
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _shown(results: Iterator[Result], total: int, progress: bool | None) -> Iterable[Result]:
    shows = total > 1 and sys.stderr.isatty() if progress is None else progress
    if not shows:
        return results
    return track(results, 'Predicting', total, console=Console(stderr=True))
