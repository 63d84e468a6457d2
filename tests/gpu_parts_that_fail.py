"""Parts of the measurement on a GPU that go wrong in the ways in which parts can."""

import os
import time

from benchmarks.gpu.parts import Options, SkippedPart, Write


def run(options: Options, write: Write) -> None:
    write(dict(case='before'))
    kind = options.golden.name
    if kind == 'raises':
        raise KeyError('no such head')
    if kind == 'crashes':
        os._exit(11)
    if kind == 'hangs':
        time.sleep(600)
    raise SkippedPart('no data')
