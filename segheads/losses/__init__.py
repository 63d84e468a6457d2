"""Losses that MMSegmentation does not have."""

from .ohem_cross_entropy import OHEMCrossEntropyLoss
from .region_classification import RegionClassificationLoss
from .upsampled_cross_entropy import UpsampledCrossEntropyLoss
from .upsampling_loss import UpsamplingLoss

__all__ = [
    'OHEMCrossEntropyLoss',
    'RegionClassificationLoss',
    'UpsampledCrossEntropyLoss',
    'UpsamplingLoss',
]
