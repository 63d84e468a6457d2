"""What surrounds the heads in a run: precision, processes, and answers to users' mistakes."""

from .checkpoint_fit import CheckpointFitHook
from .compilation import CompileHook
from .fine_tuning import FineTuneHook
from .optim_wrapper import AutocastOptimWrapper
from .resumable_loop import ResumableTrainLoop
from .saving import AtomicCheckpointHook

__all__ = [
    'AtomicCheckpointHook',
    'AutocastOptimWrapper',
    'CheckpointFitHook',
    'CompileHook',
    'FineTuneHook',
    'ResumableTrainLoop',
]
