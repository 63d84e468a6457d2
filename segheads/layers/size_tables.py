"""Tables that depend on nothing but sizes, made once for each size and device."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

import torch
from torch._guards import detect_fake_mode

from segheads import compat

KEPT_TABLES = 64


def kept_per_size(function: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what a function returns for the latest arguments, 64 of them.

    Nothing is kept, or taken, while a model is traced or recorded as a CUDA graph: the table is a
    part of that then, and its tensors may have no values.

    Args:
        function (Callable): Makes tables of sizes, data type and device; it must not depend on
            anything else.

    Returns:
        Callable: The same, with ``cache_clear`` and ``cache_info`` as of
        :func:`functools.lru_cache`.
    """

    @lru_cache(maxsize=KEPT_TABLES)
    def kept(*sizes: Any) -> Any:
        # A table made in inference mode would be of no use to training.
        with torch.inference_mode(False):
            return function(*sizes)

    @wraps(function)
    def look_up(*sizes: Any) -> Any:
        return function(*sizes) if _is_recorded() else kept(*sizes)

    look_up.cache_clear, look_up.cache_info = kept.cache_clear, kept.cache_info
    return look_up


def _is_recorded() -> bool:
    return (
        compat.is_tracing()
        or torch.jit.is_tracing()
        or detect_fake_mode() is not None
        or (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())
    )
