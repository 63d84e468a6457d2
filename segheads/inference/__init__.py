"""A model of a config and weights, pictures in, class maps and drawings out."""

from .drawing import draw
from .loading import load
from .prediction import predict

__all__ = ['draw', 'load', 'predict']
