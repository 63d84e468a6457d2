"""A run over files: what is the same for all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .output_files import OutputFiles, save_class_map, save_probabilities, save_scores
from .predictor import Predictor
from .probabilities import Prediction


@dataclass(frozen=True)
class FileRun:
    """What is the same for all files.

    Args:
        predictor (Predictor): The model.
        outputs (OutputFiles): Where results go.
        opacity (float): Of the colours in overlays.
        legend (bool): Whether overlays have a legend.
    """

    predictor: Predictor
    outputs: OutputFiles
    opacity: float = 0.5
    legend: bool = True


def save_prediction(prediction: Prediction, paths: Mapping[str, Path], run: FileRun) -> None:
    """Writes a class map and what was asked for beside it.

    Args:
        prediction (Prediction): What was predicted.
        paths (Mapping): Files by kind of result.
        run (FileRun): What is the same for all files.
    """
    meta = run.predictor.model.dataset_meta
    if prediction.scores is not None and 'scores' in paths:
        save_scores(prediction.scores, paths['scores'])
    if prediction.probabilities is not None:
        save_probabilities(prediction.probabilities, paths['probabilities'], meta)
    save_class_map(prediction.class_map, paths['class_maps'], meta)
