"""Safe loading of checkpoints and translation of the names in authors' releases."""

from . import whole_model

__all__ = ['whole_model']
