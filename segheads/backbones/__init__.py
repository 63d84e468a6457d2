"""Encoders that MMSegmentation does not have, or not with all that theirs can read."""

from .efficientformer_v2 import EfficientFormerV2
from .timm_backbone import TIMMBackbone

__all__ = ['EfficientFormerV2', 'TIMMBackbone']
