"""Safe loading of checkpoints and translation of the names in authors' releases."""

from . import whole_model
from .file_format import CheckpointError
from .safe_loading import read_checkpoint, trust_checkpoints

__all__ = ['CheckpointError', 'read_checkpoint', 'trust_checkpoints', 'whole_model']
