"""Decode heads, one file per paper."""

from .ccaseg import CCASegHead

__all__ = ['CCASegHead']
