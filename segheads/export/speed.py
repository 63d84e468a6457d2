"""Speed and memory of models and exported files, side by side; importing it imports nothing slow.

Each is loaded by a process of its own, and all are timed by turns, so that what else the machine
does meets them alike.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TextIO

from segheads.mistakes import UserMistake
from segheads.runtime.description import is_exported, read_description
from segheads.runtime.mistakes import RunnerMistake
from segheads.runtime.networks import choose_runtime, installed_runtimes
from segheads.weights.bundled import bundled_weights

PACKAGE_FOLDER = Path(__file__).parents[2]


@dataclass
class Timing:
    """What was measured of a model in a runtime.

    Args:
        model (str): The model, as it was given.
        runtime (str): What runs it.
        threads (int): How many threads it had on the CPU.
        process (subprocess.Popen): The process that runs it.
        errors (TextIO): What that writes to stderr.

    Attributes:
        first (float): Seconds from loading the model to its first class map, without the start of
            Python and, for PyTorch, the import of MMSegmentation.
        seconds (list[float]): Those of each run after.
        mebibytes (float | None): Peak memory of its process; None if the system does not tell.
    """

    model: str
    runtime: str
    threads: int
    process: subprocess.Popen
    errors: TextIO
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)
    mebibytes: float | None = None

    @property
    def milliseconds(self) -> float:
        """The median of a run."""
        return median(self.seconds) * 1000

    def wait_until_ready(self) -> None:
        """Waits until its first run is over.

        Raises:
            UserMistake: If the model cannot be used.
        """
        self.first = self._answer()

    def run(self) -> None:
        """Lets it run once."""
        self.process.stdin.write('\n')
        self.process.stdin.flush()
        self.seconds.append(self._answer())

    def _answer(self) -> float:
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {}
        if 'seconds' not in answer:
            reason = answer.get('mistake') or self._last_words()
            raise UserMistake(f'{self.model} cannot be timed in {self.runtime}: {reason}')
        self.mebibytes = answer['mebibytes']
        return answer['seconds']

    def _last_words(self) -> str:
        code = self.process.wait()
        self.errors.seek(0)
        words = self.errors.read().strip().splitlines()
        return words[-1] if words else f'its process ended with {code}'


def time_models(
    models: Sequence[str],
    size: tuple[int, int],
    threads: Sequence[int],
    runs: int,
    *,
    device: str | None = None,
    trusted: bool = False,
) -> list[Timing]:
    """Times models from pixels in memory to the class map, by turns.

    Args:
        models (Sequence[str]): Exported files, each timed in every runtime that is installed and
            runs it; checkpoints with their config; ``CONFIG=CHECKPOINT``; or configs alone, whose
            weights are those of the package or random.
        size (tuple[int, int]): Height and width of the image.
        threads (Sequence[int]): Numbers of threads to time each with.
        runs (int): How often each runs.
        device (str | None): As for :func:`segheads.load`. Default: None.
        trusted (bool): Whether checkpoints may hold more than weights. Default: False.

    Returns:
        list[Timing]: One per model, runtime and number of threads.

    Raises:
        UserMistake: If a model cannot be used.
    """
    cases = [case for model in models for case in _cases(model, device)]
    with ExitStack() as processes:
        timings = []
        for count in threads:
            for model, runtime, module, arguments in cases:
                place = [device or '', str(count), *map(str, size)]
                # A file, because a pipe that nobody empties would stop the process.
                errors = processes.enter_context(tempfile.TemporaryFile('w+'))
                given = [*arguments, *place, *_trust(module, trusted)]
                process = processes.enter_context(_process(count, errors, module, *given))
                timing = Timing(model, runtime, count, process, errors)
                # One after another, so that none slows the first image of another.
                timing.wait_until_ready()
                timings.append(timing)
        take_turns(timings, runs)
    return timings


def take_turns(timings: Sequence[Timing], runs: int) -> None:
    """Lets each run once, and again.

    Args:
        timings (Sequence[Timing]): What to run.
        runs (int): How often.
    """
    for _ in range(runs):
        for timing in timings:
            timing.run()


def _cases(model: str, device: str | None) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yields the runtimes of a model, with the module that times it and its arguments."""
    if is_exported(model):
        path = Path(model)
        try:
            read_description(path)
            names = installed_runtimes(path) if device in (None, 'cpu') else []
            names = names or [choose_runtime(path, None, device)]
        except RunnerMistake as mistake:
            raise UserMistake(str(mistake)) from mistake
        for name in names:
            yield model, name, 'segheads_runtime.timing', [model, name]
        return
    config, _, checkpoint = model.partition('=')
    checkpoint = checkpoint or str(bundled_weights(config) or '')
    yield model, 'torch, eager', 'segheads.inference.timing', [config, checkpoint]


def _trust(module: str, trusted: bool) -> list[str]:
    return ['trusted' if trusted else ''] if module.startswith('segheads.') else []


@contextmanager
def _process(
    threads: int, errors: TextIO, module: str, *arguments: str
) -> Iterator[subprocess.Popen]:
    """Starts a module with its threads, and ends it."""
    paths = [str(PACKAGE_FOLDER), os.environ.get('PYTHONPATH', '')]
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(filter(None, paths)),
        OMP_NUM_THREADS=str(threads),
    )
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-m', module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        env=environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
