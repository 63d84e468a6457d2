"""Safe loading of checkpoints and translation of the names in authors' releases."""

from . import allowed_types, whole_model
from .file_format import CheckpointError
from .fit import CheckpointFitHook
from .pretrained import PretrainedFitHook
from .safe_loading import read_checkpoint, trust_checkpoints

allowed_types.allow()

__all__ = [
    'CheckpointError',
    'CheckpointFitHook',
    'PretrainedFitHook',
    'read_checkpoint',
    'trust_checkpoints',
    'whole_model',
]
