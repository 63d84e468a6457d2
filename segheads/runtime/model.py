"""An exported model: images in, class maps and logits out, as the model that it was made of."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .class_maps import Upsampling
from .description import Description, is_exported, read_description
from .mistakes import RunnerMistake
from .networks import LOW_RESOLUTION, Network, choose_runtime, open_network
from .preparation import Picture, Preparation, normalise, padded_size, read_picture
from .windows import pixel_weights, windows_along

Size = tuple[int, int]


@dataclass(frozen=True)
class Result:
    """What a model found in an image.

    Args:
        upsampling (Upsampling | None): The logits; None of a file that gives classes only.
        classes (numpy.ndarray | None): The classes (H, W), where there are no logits.
        threshold (float | None): The probability from which on a pixel is of the single class of a
            binary model.
    """

    upsampling: Upsampling | None
    classes: np.ndarray | None = None
    threshold: float | None = None

    def class_map(self) -> np.ndarray:
        """Returns the class of each pixel, (H, W) in int64."""
        if self.upsampling is None:
            return self.classes
        if self.threshold is None:
            return self.upsampling.class_map()
        with np.errstate(over='ignore'):
            probability = 1 / (1 + np.exp(-self.upsampling.logits()[0]))
        return (probability > self.threshold).astype(np.int64)

    def logits(self) -> np.ndarray:
        """Returns the logits (C, H, W) in float32.

        Raises:
            RunnerMistake: If the file gives classes only.
        """
        if self.upsampling is None:
            raise RunnerMistake(
                'this file gives classes only; for scores export without --with-argmax, or as onnx'
            )
        return self.upsampling.logits()


class ExportedModel:
    """An exported file in a runtime, with the test pipeline of its config.

    Args:
        path (Path): The file, or a folder of OpenVINO's.
        description (Description): What it says of itself.
        network (Network): From images (B, C, H, W) to what the file gives.
        runtime (str): Name of the runtime.

    Attributes:
        description (Description): As given.
        runtime (str): As given.
    """

    def __init__(
        self, path: Path, description: Description, network: Network, runtime: str
    ) -> None:
        self.path = path
        self.description = description
        self.runtime = runtime
        self._network = network

    def predict(self, image: Picture) -> np.ndarray:
        """Finds the class of every pixel.

        Args:
            image (Picture): As :func:`.preparation.read_picture` takes it.

        Returns:
            numpy.ndarray: Class indices, (H, W) in int64, of the size of the image.

        Raises:
            RunnerMistake: If the image cannot be read, or is too small, or if the test pipeline has
                a step that is not known without MMSegmentation.
        """
        picture = read_picture(image)
        prepared = Preparation(self.description)(picture)
        (result,) = self.segment(prepared[None], [picture.shape[:2]])
        return result.class_map()

    def segment(self, images: np.ndarray, sizes: Sequence[Size]) -> list[Result]:
        """Segments images that the test pipeline has made.

        Args:
            images (numpy.ndarray): Images (B, C, H, W) with the values of the pipeline, neither
                normalised nor padded.
            sizes (Sequence[tuple[int, int]]): Heights and widths of the original images, which the
                results have.

        Returns:
            list[Result]: One per image.

        Raises:
            RunnerMistake: If the images are too small or have another number of channels, or the
                file cannot do what the test pipeline asks for.
        """
        self._check(images, sizes)
        network_input = self._network_input(images)
        kept = images.shape[2:]
        # A raw file pads inside; those of PyTorch cut it off again.
        cuts = self.description.input['raw'] and self.runtime == 'torch'
        padded = kept if cuts else padded_size(*kept, self.description.preprocessing)
        rows, columns = self._windows(padded)
        if not self._gives_logits:
            classes = self._network(network_input)[:, : kept[0], : kept[1]]
            return [Result(None, np.ascontiguousarray(each)) for each in classes]
        logits = np.concatenate(
            [
                np.concatenate([self._run(network_input, row, column) for column in columns], 3)
                for row in rows
            ],
            2,
        )
        cells = logits.shape[2] // len(rows), logits.shape[3] // len(columns)
        results = []
        for each, size in zip(logits, sizes, strict=True):
            weights = _weights(cells, _spans(rows), _spans(columns), kept, tuple(size), self._align)
            threshold = self.description.output['threshold']
            results.append(Result(Upsampling(each, *weights), threshold=threshold))
        return results

    @property
    def _align(self) -> bool:
        return self.description.output['align_corners']

    @property
    def _gives_logits(self) -> bool:
        return self.runtime != 'torch' or self.description.output['kind'] == 'logits'

    def _run(self, images: np.ndarray, row: slice, column: slice) -> np.ndarray:
        window = np.ascontiguousarray(images[:, :, row, column])
        return self._network(window).astype(np.float32, copy=False)

    def _network_input(self, images: np.ndarray) -> np.ndarray:
        if self.description.input['raw']:
            return images.astype(self.description.input['type'], copy=False)
        preprocessing = self.description.preprocessing
        images = normalise(images, preprocessing)
        height, width = images.shape[2:]
        below, right = np.subtract(padded_size(height, width, preprocessing), (height, width))
        if not below and not right:
            return images
        borders = (0, 0), (0, 0), (0, below), (0, right)
        return np.pad(images, borders, constant_values=preprocessing['pad_value'])

    def _windows(self, size: Size) -> tuple[list[slice], list[slice]]:
        inference = self.description.inference
        if inference['mode'] == 'whole':
            return [slice(0, size[0])], [slice(0, size[1])]
        return tuple(
            windows_along(*side)
            for side in zip(size, inference['crop_size'], inference['stride'], strict=True)
        )

    def _check(self, images: np.ndarray, sizes: Sequence[Size]) -> None:
        channels, smallest = (self.description.input[name] for name in ('channels', 'smallest'))
        if images.shape[1] != channels:
            raise RunnerMistake(
                f'{self.path} takes images of {channels} channels, but got {images.shape[1]}'
            )
        height, width = padded_size(*images.shape[2:], self.description.preprocessing)
        if min(height, width) < smallest:
            raise RunnerMistake(
                f'an image of {sizes[0][1]}x{sizes[0][0]} pixels is too small: the model gets it '
                f'as {width}x{height}, and needs {smallest} per side; enlarge it'
            )
        if self._gives_logits:
            return
        rows, columns = self._windows((height, width))
        if len(rows) * len(columns) > 1 or any(tuple(each) != images.shape[2:] for each in sizes):
            raise RunnerMistake(
                f'{self.path} gives the classes of images that are neither resized nor cut into '
                'windows, but the test pipeline of its config does so; export it without '
                '--with-argmax, or as onnx'
            )


def load(
    path: str | os.PathLike,
    *,
    runtime: str | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> ExportedModel:
    """Loads an exported model into a runtime.

    Args:
        path (str | os.PathLike): A file of `segheads export`: `.onnx`, `.pt2`, `.torchscript`, or
            a folder of OpenVINO's.
        runtime (str | None): 'onnxruntime', 'openvino' or 'torch'. Default: None, the fastest that
            is installed and runs the file.
        device (str | None): Such as 'cpu' or 'cuda:1'. Default: None, which is a GPU if the
            runtime can use one.
        threads (int | None): Threads on the CPU. Default: None, what the runtime takes.

    Returns:
        ExportedModel: The model.

    Raises:
        RunnerMistake: If the file is missing, damaged or not made by segheads, or if the runtime or
            the device cannot be used.
    """
    path = Path(path)
    if not is_exported(path) and path.exists():
        raise RunnerMistake(
            f'{path} is no exported model: give a file .onnx, .pt2 or .torchscript, or a folder '
            'that `segheads export --format openvino` wrote'
        )
    description = read_description(path)
    chosen = choose_runtime(path, runtime, device)
    network = open_network(path, chosen, device, threads, LOW_RESOLUTION)
    return ExportedModel(path, description, network, chosen)


def _spans(windows: Sequence[slice]) -> tuple[tuple[int, int], ...]:
    return tuple((window.start, window.stop) for window in windows)


@lru_cache(maxsize=16)
def _weights(
    cells: Size, rows: Any, columns: Any, kept: Size, size: Size, align_corners: bool
) -> tuple[np.ndarray, ...]:
    """Computes the weights of rows and of columns, kept for the next image of the size."""
    return tuple(
        pixel_weights(count, [slice(*span) for span in spans], side, extent, align_corners)
        for count, spans, side, extent in zip(cells, (rows, columns), kept, size, strict=True)
    )
