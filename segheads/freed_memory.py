"""Freed memory is kept for the next tensor, which saves most of the page faults of large maps."""

import ctypes
import os
import sys

# From <malloc.h>.
TRIM_THRESHOLD, MMAP_THRESHOLD, LARGEST_INT = -1, -3, 2**31 - 1


def keep_freed_memory() -> None:
    """Lets the C library keep freed memory for what is allocated next.

    By default it gives large blocks back to the system, which then hands out and clears every page
    of the next map anew: a head on an image of 2048x2048 takes up to twice as long. The commands
    call this; a script that predicts large images on a CPU may. The process keeps the memory that
    it took at most at one time.

    Nothing happens where the C library is not glibc, or a variable ``MALLOC_...`` of the
    environment says otherwise.

    Examples:
        >>> segheads.keep_freed_memory()
    """
    if sys.platform == 'linux' and not any(name.startswith('MALLOC_') for name in os.environ):
        mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)  # other libraries than glibc lack it
        for threshold in (TRIM_THRESHOLD, MMAP_THRESHOLD) if mallopt else ():
            mallopt(threshold, LARGEST_INT)
