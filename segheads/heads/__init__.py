"""Decode heads, one file per paper."""

from .ccaseg import CCASegHead
from .ccsnet import CCSNetHead
from .cgrseg import CGRSegHead
from .pcaa import PCAAHead

__all__ = ['CCASegHead', 'CCSNetHead', 'CGRSegHead', 'PCAAHead']
