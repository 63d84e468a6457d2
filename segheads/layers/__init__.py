"""What heads are built of beside their papers' blocks, and what losses and segmentors share."""

from .adaptive_pooling import adaptive_avg_pool2d
from .default_init import DefaultConvModule, PyTorchDefaultInit
from .pixel_sums import sum_over_pixels
from .pointwise_conv import PointwiseConv2d, pointwise_conv2d
from .region_grid import RegionGrid, region_grid

__all__ = [
    'DefaultConvModule',
    'PointwiseConv2d',
    'PyTorchDefaultInit',
    'RegionGrid',
    'adaptive_avg_pool2d',
    'pointwise_conv2d',
    'region_grid',
    'sum_over_pixels',
]
