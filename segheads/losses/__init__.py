"""Losses that MMSegmentation does not have."""

from .ohem_cross_entropy import OHEMCrossEntropyLoss
from .region_classification import RegionClassificationLoss

__all__ = ['OHEMCrossEntropyLoss', 'RegionClassificationLoss']
