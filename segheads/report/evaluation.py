"""What a trained model makes of its validation images."""

import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from segheads.configs.preflight import check_data, check_modules, ignored_labels
from segheads.data.checks import leaf_datasets
from segheads.inference.images import ImageReader
from segheads.inference.loading import load
from segheads.mistakes import UserMistake

WARM_UP_IMAGES = 2


@dataclass
class Evaluation:
    """Results on validation images.

    Attributes:
        indices (list[int]): Which images of the data set were evaluated.
        confusion (np.ndarray): Pixels by true and predicted class, see :func:`confusion_matrix`.
        image_scores (list[float]): Mean IoU of each image, over the classes that occur in its
            ground truth or prediction.
        seconds_per_image (float): Median time from the image in memory to its class map.
        image_size (tuple[int, int]): Height and width of the first image.
        device (str): What it ran on, in words.
    """

    indices: list[int]
    confusion: np.ndarray
    image_scores: list[float]
    seconds_per_image: float
    image_size: tuple[int, int]
    device: str

    @property
    def class_ious(self) -> np.ndarray:
        """IoU of each class in percent, NaN for a class that does not occur."""
        return 100 * intersection_over_union(self.confusion)


class ModelOnData:
    """The model of a checkpoint and the validation images of its config.

    Args:
        config (Config): The config of a run.
        checkpoint (Path): The checkpoint.

    Raises:
        UserMistake: If data or checkpoint are missing, damaged, or do not fit the config.
    """

    def __init__(self, config: Config, checkpoint: Path) -> None:
        config = config.copy()
        init_default_scope(config.get('default_scope', 'mmseg'))
        self.split = 'val' if config.get('val_dataloader') else 'test'
        if not config.get(f'{self.split}_dataloader'):
            raise UserMistake(f'{config.filename} has no data set for validation')
        check_modules(config)
        check_data(config, (self.split,), read_masks=False)
        self.dataset = DATASETS.build(config[f'{self.split}_dataloader'].dataset)
        self.ignore_indices = ignored_labels(config, self.split)
        self.device = get_device()
        self.model = load(config, checkpoint, self.device)
        _, dataset = next(leaf_datasets(config[f'{self.split}_dataloader'].dataset, ''))
        self.reader = ImageReader(Config(dict(test_pipeline=dataset.get('pipeline'))))

    def predict(self, index: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Segments an image.

        Args:
            index (int): Index in the data set.

        Returns:
            tuple: Predicted and true class map, both of shape (H, W), and the image's path.

        Raises:
            UserMistake: If the data has no ground truth.
        """
        return self._segment(index)[:3]

    def picture(self, path: str, size: tuple[int, int]) -> np.ndarray:
        """Reads an image as the model does, for the eye.

        Args:
            path (str): Its path, or any address that MMEngine reads.
            size (tuple[int, int]): Height and width of its class map.

        Returns:
            np.ndarray: RGB image of shape (H, W, 3).
        """
        picture = self.reader(path).picture
        return picture if picture.shape[:2] == size else mmcv.imresize(picture, size[::-1])

    def evaluate(
        self, num_images: int | None, track: Callable[[Sequence[int]], Iterable[int]]
    ) -> Evaluation:
        """Segments validation images and compares them with their ground truth.

        Args:
            num_images (int | None): How many, evenly spaced; None for all.
            track (Callable): Passes indices through and shows progress.

        Returns:
            Evaluation: The results.
        """
        count = min(num_images or len(self.dataset), len(self.dataset))
        indices = np.linspace(0, len(self.dataset) - 1, count).astype(int).tolist()
        num_classes = len(self.dataset.metainfo['classes'])
        confusion = np.zeros((num_classes, num_classes + 1), np.int64)
        scores, seconds, image_size = [], [], None
        for index in track(indices):
            prediction, truth, _, duration = self._segment(index)
            seconds.append(duration)
            matrix = confusion_matrix(prediction, truth, num_classes, self.ignore_indices)
            scores.append(_mean(intersection_over_union(matrix)))
            confusion += matrix
            image_size = image_size or prediction.shape
        return Evaluation(
            indices=indices,
            confusion=confusion,
            image_scores=scores,
            # The first images also pay for memory that is allocated once.
            seconds_per_image=statistics.median(seconds[WARM_UP_IMAGES:] or seconds),
            image_size=image_size,
            device=describe_device(self.device),
        )

    def _segment(self, index: int) -> tuple[np.ndarray, np.ndarray, str, float]:
        """Segments an image; also returns the seconds that it took after reading the image."""
        batch = pseudo_collate([self.dataset[index]])
        start = time.perf_counter()
        with torch.no_grad():
            (result,) = self.model.test_step(batch)
        # Copying the class map waits until a GPU has computed it.
        prediction = result.pred_sem_seg.data[0].cpu().numpy()
        seconds = time.perf_counter() - start
        if 'gt_sem_seg' not in result:
            raise UserMistake(
                f'the images of {self.split}_dataloader have no masks; add LoadAnnotations to its '
                'pipeline'
            )
        return prediction, result.gt_sem_seg.data[0].cpu().numpy(), result.img_path, seconds


def confusion_matrix(
    prediction: np.ndarray, truth: np.ndarray, num_classes: int, ignore_indices: Iterable[int]
) -> np.ndarray:
    """Counts pixels by true and predicted class.

    Args:
        prediction (np.ndarray): Predicted classes of shape (H, W).
        truth (np.ndarray): True classes of shape (H, W).
        num_classes (int): Number of classes of the data set, K.
        ignore_indices (Iterable[int]): Labels in ``truth`` that do not count.

    Returns:
        np.ndarray: Matrix of shape (K, K + 1), true classes in rows. The last column counts
        predictions that are no class of the data set, since a head may have more outputs.
    """
    counted = ~np.isin(truth, list(ignore_indices))
    rows = truth[counted].astype(np.int64)
    columns = np.minimum(prediction[counted].astype(np.int64), num_classes)
    width = num_classes + 1
    counts = np.bincount(rows * width + columns, minlength=num_classes * width)
    return counts.reshape(num_classes, width)


def intersection_over_union(confusion: np.ndarray) -> np.ndarray:
    """Computes the IoU of each class.

    Args:
        confusion (np.ndarray): Matrix of :func:`confusion_matrix`.

    Returns:
        np.ndarray: K values from 0 to 1, NaN for classes without a pixel.
    """
    intersection = np.diagonal(confusion).astype(float)
    union = confusion.sum(axis=0)[: len(intersection)] + confusion.sum(axis=1) - intersection
    return np.divide(intersection, union, out=np.full(len(union), np.nan), where=union > 0)


def describe_device(device: str) -> str:
    """Names a device: the GPU, or the CPU and how many threads of it are used."""
    if torch.device(device).type == 'cuda':
        return torch.cuda.get_device_name(device)
    if device != 'cpu':
        return device
    threads = torch.get_num_threads()
    return f'{_cpu_name()}, {threads} {"thread" if threads == 1 else "threads"}'


def _cpu_name() -> str:
    information = Path('/proc/cpuinfo')
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float('nan')
