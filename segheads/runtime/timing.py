"""How long an exported model takes for an image, asked run by run in a process of its own.

A process of its own has the threads that it was given, and memory that nobody else used. It is
asked for one run at a time, so that several can be timed by turns on a machine that others use too.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .bilinear import resize
from .mistakes import RunnerMistake
from .model import load

# Runtimes prepare what they need for a size at its first image, and some at its second.
WARM_UP_RUNS = 2
PATCH = 32


def answer(prepare: Callable[[], Callable[[], None]], mistakes: type[Exception]) -> None:
    """Prepares a model, then runs it once for each line on stdin; answers in lines of JSON.

    The first line of stdout holds 'seconds' from the first instruction to the end of the first run,
    each further one those of a run; both the peak memory of the process, 'mebibytes'. Where the
    model cannot be used, it holds the 'mistake'.

    Args:
        prepare (Callable): Loads the model, and returns what predicts one image.
        mistakes (type[Exception]): What is raised for mistakes of the user.
    """
    # What libraries print is not for the one who asks.
    answers, sys.stdout = sys.stdout, sys.stderr

    def tell(**content: object) -> None:
        print(json.dumps(content), file=answers, flush=True)

    started = time.perf_counter()
    try:
        run = prepare()
        run()
    except mistakes as mistake:
        tell(mistake=str(mistake))
        return
    start_up = time.perf_counter() - started
    for _ in range(WARM_UP_RUNS - 1):
        run()
    tell(seconds=start_up, mebibytes=peak_memory())
    for _ in sys.stdin:
        started = time.perf_counter()
        run()
        tell(seconds=time.perf_counter() - started, mebibytes=peak_memory())


def picture(channels: int, height: int, width: int) -> np.ndarray:
    """Draws smooth patches: neither noise, nor one class from edge to edge.

    Args:
        channels (int): Number of channels.
        height (int): Height in pixels.
        width (int): Width in pixels.

    Returns:
        numpy.ndarray: (C, H, W) in uint8.
    """
    cells = height // PATCH + 1, width // PATCH + 1, channels
    patches = np.random.default_rng(0).integers(0, 256, cells, dtype=np.uint8)
    return np.ascontiguousarray(resize(patches, (height, width)).transpose(2, 0, 1))


def peak_memory() -> float | None:
    """Returns the largest resident memory of this process so far in MiB; None if unknown."""
    status = Path('/proc/self/status')
    if status.is_file():
        lines = status.read_text(encoding='utf-8').splitlines()
        peak = next((line for line in lines if line.startswith('VmHWM')), None)
        return peak and int(peak.split()[1]) / 2**10
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == 'darwin' else 2**10)


def main() -> None:
    """Times the model of the command line: PATH RUNTIME DEVICE THREADS HEIGHT WIDTH."""
    path, runtime, device, threads, height, width = sys.argv[1:]

    def prepare() -> Callable[[], None]:
        model = load(path, runtime=runtime, device=device or None, threads=int(threads))
        size = int(height), int(width)
        images = picture(model.description.input['channels'], *size)[None]

        def run() -> None:
            (result,) = model.segment(images, [size])
            result.class_map()

        return run

    answer(prepare, RunnerMistake)


if __name__ == '__main__':
    main()
