"""Data sets that MMSegmentation does not have."""

from .camvid import CamVidDataset
from .synthetic_scenes import SyntheticScenes

__all__ = ['CamVidDataset', 'SyntheticScenes']
