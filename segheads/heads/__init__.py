"""Decode heads, one file per paper."""

from .ccaseg import CCASegHead
from .cgrseg import CGRSegHead

__all__ = ['CCASegHead', 'CGRSegHead']
