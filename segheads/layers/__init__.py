"""What heads are built of beside the blocks of their papers."""

from .default_init import DefaultConvModule, PyTorchDefaultInit
from .region_grid import RegionGrid

__all__ = ['DefaultConvModule', 'PyTorchDefaultInit', 'RegionGrid']
