"""What surrounds the model in a run: precision, processes, saving, resuming, compilation."""

from .compilation import CompileHook
from .fine_tuning import FineTuneHook
from .memory_format import ChannelsLastHook
from .precision import AutocastOptimWrapper
from .resumable_loop import ResumableTrainLoop
from .saving import AtomicCheckpointHook

__all__ = [
    'AtomicCheckpointHook',
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'CompileHook',
    'FineTuneHook',
    'ResumableTrainLoop',
]
