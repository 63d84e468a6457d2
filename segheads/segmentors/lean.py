"""MMSegmentation's two segmentors, lean: the same model, parameters and predictions."""

from mmseg.models.segmentors import CascadeEncoderDecoder, EncoderDecoder
from mmseg.registry import MODELS

from .inferred_widths import InferredWidths
from .lean_attention import LeanAttention
from .tiled_prediction import TiledPrediction


@MODELS.register_module()
class LeanEncoderDecoder(TiledPrediction, LeanAttention, InferredWidths, EncoderDecoder):
    """``EncoderDecoder`` that predicts tile by tile and asks the backbone for its widths."""


@MODELS.register_module()
class LeanCascadeEncoderDecoder(
    TiledPrediction, LeanAttention, InferredWidths, CascadeEncoderDecoder
):
    """``CascadeEncoderDecoder`` that predicts tile by tile and asks the backbone for its widths.

    Its heads are a list, from the coarse stage to the last.
    """
