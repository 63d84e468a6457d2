"""Decode heads, one file per paper."""

from .ccaseg import CCASegHead
from .ccsnet import CCSNetHead
from .cgrseg import CGRSegHead

__all__ = ['CCASegHead', 'CCSNetHead', 'CGRSegHead']
