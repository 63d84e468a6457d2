"""Data sets and loading transforms that MMSegmentation does not have, and masks of 16 bits."""

from . import wide_labels
from .camvid import CamVidDataset
from .multi_band_images import LoadMultiBandImageFromFile
from .synthetic_scenes import SyntheticScenes

__all__ = ['CamVidDataset', 'LoadMultiBandImageFromFile', 'SyntheticScenes', 'wide_labels']
