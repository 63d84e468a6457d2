"""What surrounds the heads in a run: precision, processes, and answers to users' mistakes."""

from .checkpoint_fit import CheckpointFitHook
from .optim_wrapper import AutocastOptimWrapper

__all__ = ['AutocastOptimWrapper', 'CheckpointFitHook']
