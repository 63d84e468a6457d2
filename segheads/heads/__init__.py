"""Decode heads, one file per paper."""

from . import low_resolution
from .ccaseg import CCASegHead
from .ccsnet import CCSNetHead
from .cgrseg import CGRSegHead
from .pcaa import PCAAHead
from .sasformer import SASFormerHead

__all__ = ['CCASegHead', 'CCSNetHead', 'CGRSegHead', 'PCAAHead', 'SASFormerHead', 'low_resolution']
