"""What surrounds the model in a run: precision, processes, saving, resuming, compilation."""

from .best_checkpoint import BestCheckpointHook
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
from .time_limit import TimeLimitHook

__all__ = [
    'AtomicCheckpointHook',
    'AutocastOptimWrapper',
    'BestCheckpointHook',
    'ChannelsLastHook',
    'CompileHook',
    'ConsoleHook',
    'FineTuneHook',
    'InterruptionHook',
    'ResumableTrainLoop',
    'SameRunHook',
    'SavePredictionsHook',
    'TimeLimitHook',
]
