"""A model of a config and weights, pictures in, class maps and drawings out."""

from .drawing import draw
from .prediction import load, predict

__all__ = ['draw', 'load', 'predict']
