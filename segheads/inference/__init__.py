"""A model of a config and weights, pictures in, class maps and drawings out."""

from .drawing import draw
from .prediction import load, predict
from .test_outputs import ClassMapHook, OverlayHook

__all__ = ['ClassMapHook', 'OverlayHook', 'draw', 'load', 'predict']
