"""What surrounds the model in a run: precision, processes, saving, resuming, compilation."""

from .compilation import CompileHook
from .console import ConsoleHook
from .fine_tuning import FineTuneHook
from .interruption import InterruptionHook
from .memory_format import ChannelsLastHook
from .precision import AutocastOptimWrapper
from .predictions import SavePredictionsHook
from .resumable_loop import ResumableTrainLoop
from .same_run import SameRunHook
from .saving import AtomicCheckpointHook

__all__ = [
    'AtomicCheckpointHook',
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'CompileHook',
    'ConsoleHook',
    'FineTuneHook',
    'InterruptionHook',
    'ResumableTrainLoop',
    'SameRunHook',
    'SavePredictionsHook',
]
