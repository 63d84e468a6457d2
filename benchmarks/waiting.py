"""Measure how OpenMP's threads should wait and how glibc should allocate, idle and beside others.

Each setting of the environment has a process of its own, and they take turns: a whole prediction
and a whole training step of CCASeg-B0. Then the same again while a process per core multiplies
matrices. Times are medians in ms of wall time, and their ratio to the best setting's.

Example:
    python -m benchmarks.waiting --rounds 7
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

SETTINGS: dict[str, dict[str, str]] = {
    "PyTorch's default": {},
    'OMP_WAIT_POLICY=PASSIVE': dict(OMP_WAIT_POLICY='PASSIVE'),
    **{
        f'GOMP_SPINCOUNT={count}': dict(GOMP_SPINCOUNT=str(count))
        for count in (1_000, 3_000, 10_000, 30_000)
    },
}
ALLOCATOR = dict(MALLOC_MMAP_THRESHOLD_=str(2**32), MALLOC_TRIM_THRESHOLD_=str(2**32))
DECIDED_BY_US = ('OMP_', 'GOMP_', 'MALLOC_')
NEIGHBOUR = 'import numpy as np\na = np.random.rand(512, 512)\nwhile True:\n    a = a @ a / 512\n'


def work() -> None:
    """Run in a process of its own: on each line of the input one workload, its time as answer."""
    import torch

    import segheads

    model = segheads.load('ccaseg_b0_ade20k')
    image = torch.rand(3, 512, 512)
    samples = _samples(2, 256)

    def prediction() -> None:
        with torch.inference_mode():
            model.test_step(dict(inputs=[image], data_samples=[samples[0]]))

    def training() -> None:
        batch = dict(inputs=[image[:, :256, :256]] * 2, data_samples=samples)
        model.train()
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        model.parse_losses(losses)[0].backward()
        model.zero_grad()
        model.eval()

    workloads = dict(prediction=prediction, training=training)
    for run in workloads.values():
        run()
    print('ready', flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        workloads[line.strip()]()
        print(1e3 * (time.perf_counter() - start), flush=True)


def _samples(count: int, side: int) -> list:
    import torch
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(count):
        sample = SegDataSample(metainfo=dict(img_shape=(side, side), ori_shape=(side, side)))
        sample.gt_sem_seg = PixelData(data=torch.randint(150, (1, side, side)))
        samples.append(sample)
    return samples


def _start(environment: dict[str, str]) -> subprocess.Popen:
    rest = {name: value for name, value in os.environ.items() if not name.startswith(DECIDED_BY_US)}
    worker = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-m', 'benchmarks.waiting', '--work'],
        env={**rest, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # MMEngine's messages come first.
    while worker.stdout.readline() != 'ready\n':
        if worker.poll() is not None:
            raise RuntimeError(f'the process with {environment} ended')
    return worker


def _measure(workers: dict[str, subprocess.Popen], rounds: int) -> dict[str, dict[str, float]]:
    """Return medians in ms by setting and workload."""
    times = {name: dict(prediction=[], training=[]) for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            for workload, values in times[name].items():
                worker.stdin.write(f'{workload}\n')
                worker.stdin.flush()
                values.append(float(worker.stdout.readline()))
    return {
        name: {workload: statistics.median(values) for workload, values in each.items()}
        for name, each in times.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--work', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.work:
        work()
        return
    settings = dict(SETTINGS)
    for name in ("PyTorch's default", 'GOMP_SPINCOUNT=3000', 'GOMP_SPINCOUNT=10000'):
        settings[f'{name}, allocator'] = SETTINGS[name] | ALLOCATOR
    workers = {name: _start(environment) for name, environment in settings.items()}
    idle = _measure(workers, options.rounds)
    neighbours = [
        subprocess.Popen(
            [sys.executable, '-c', NEIGHBOUR],
            env=os.environ | {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'},
        )
        for _ in range(os.cpu_count())
    ]
    try:
        busy = _measure(workers, options.rounds)
    finally:
        for process in (*neighbours, *workers.values()):
            process.kill()
    print(f'{platform.processor() or platform.machine()}, {os.cpu_count()} cores')
    columns = [(when, w) for when in ('idle', 'busy') for w in ('prediction', 'training')]
    tables = dict(idle=idle, busy=busy)
    print('| setting | ' + ' | '.join(f'{w}, {when}' for when, w in columns) + ' |')
    print('|---' * (len(columns) + 1) + '|')
    for name in settings:
        cells = []
        for when, workload in columns:
            best = min(each[workload] for each in tables[when].values())
            value = tables[when][name][workload]
            cells.append(f'{value:.0f} ({value / best:.2f}x)')
        print(f'| {name} | ' + ' | '.join(cells) + ' |')


if __name__ == '__main__':
    main()
