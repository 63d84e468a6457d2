"""A model of a config and weights, pictures in, class maps and drawings out."""

from .drawing import draw
from .loading import load
from .prediction import predict
from .probabilities import Prediction

__all__ = ['Prediction', 'draw', 'load', 'predict']
