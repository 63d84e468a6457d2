"""A part in a process of its own: what crashes or hangs in it does not stop the rest."""

import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from functools import partial
from multiprocessing.connection import Connection

from benchmarks.gpu.page import Outcome
from benchmarks.gpu.parts import Options, Part, SkippedPart
from benchmarks.gpu.results import append_row

PRELOADED = ['benchmarks.gpu.processes', 'mmseg.datasets', 'mmseg.evaluation', 'pytest']


def run_part(part: Part, options: Options, seconds: float) -> Outcome:
    """Run a part, for so long at most.

    What it prints goes to ``logs/NAME.log``.

    Args:
        part (Part): The part.
        options (Options): How it runs.
        seconds (float): After so long it is stopped; what it has written stays.

    Returns:
        Outcome: How it ended.
    """
    context = multiprocessing.get_context('forkserver')
    # Importing MMSegmentation asks for a GPU, after which no process that is forked can use one.
    context.set_forkserver_preload(PRELOADED if options.device == 'cpu' else [])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(part.module, part.name, options, sender))
    start = time.perf_counter()
    process.start()
    sender.close()
    try:
        process.join(seconds)
        status, note = 'stopped', f'it may take {seconds:.0f} s'
        if not process.is_alive():
            status, note = 'failed', f'its process ended with code {process.exitcode}'
            if receiver.poll():
                try:
                    status, note = receiver.recv()
                except EOFError:
                    pass
    finally:
        _kill_group(process.pid)
        process.join()
    return Outcome(status, time.perf_counter() - start, note)


def _run(module: str, name: str, options: Options, sender: Connection) -> None:
    os.setsid()
    log = options.out / 'logs' / f'{name}.log'
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w') as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
    try:
        run = importlib.import_module(module).run
        run(options, partial(append_row, options.out, name))
        outcome = 'done', ''
    except SkippedPart as reason:
        outcome = 'skipped', str(reason)
    except BaseException as error:
        traceback.print_exc()
        outcome = 'failed', f'{type(error).__name__}: {error}'.split('\n')[0][:300]
    sys.stdout.flush()
    sys.stderr.flush()
    sender.send(outcome)


def _kill_group(leader: int) -> None:
    """End a process and all that it has started."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass
