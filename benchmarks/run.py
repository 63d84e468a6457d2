"""Measure speed and memory of the heads, beside those of MMSegmentation on the same features.

Writes ``results.json``, ``results.md`` and ``costs.png``.

Example:
    python -m benchmarks.run --quick
"""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from benchmarks import workloads
from benchmarks.limits import matrix_product_rate, multiply_adds
from benchmarks.memory import peak_memory
from benchmarks.plot import plot_costs
from benchmarks.report import render
from benchmarks.scaling import cost_by_classes, cost_by_size
from benchmarks.subjects import Subject, groups
from benchmarks.timing import measure
from benchmarks.workloads import MMSEG_SEGMENTORS, STRIP_LOSS, Setting
from segheads.freed_memory import keep_freed_memory

FORWARD = 'Head forward, evaluation, batch 1'
TRAINING = 'Head training step, batch 2'
WITH_LOSS = 'Head training step with its losses at image resolution, batch 2'
MODEL = 'Whole model forward, batch 1'
ONE_THREAD = Setting()
# A training step takes a minute on a slow core.
UPERHEAD = 'UPerHead-512, MiT-B0'


class Benchmark:
    """Collects the results of one run.

    Args:
        quick (bool): Whether to measure less, in a fifth of the time.
    """

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.seconds = 1 if quick else 10
        self.rounds = (2 if quick else 3, 25)
        # Behind a ResNet with dilation everything takes seconds, and so does UPerHead.
        self.groups = [
            [subject for subject in group if not quick or subject.name != UPERHEAD]
            for encoder, group in groups().items()
            if not quick or encoder != 'ResNet-50'
        ]
        self.ours = [subject for group in self.groups for subject in group if subject.config]

    def run(self) -> dict:
        """Measure everything."""
        start = time.perf_counter()
        # First, while this process has not yet started any thread.
        memory = self.memory()
        cases = [((512, 683), 150)] if self.quick else [((512, 683), 150), ((1024, 2048), 19)]
        evaluation = self.evaluation(cases)
        times = {
            FORWARD: self.times(workloads.forward, fused=True),
            TRAINING: self.times(workloads.training_step),
            WITH_LOSS: self.times(workloads.training_step_with_loss, lean_loss=True),
            MODEL: self.models(),
        }
        results = dict(
            times=times,
            memory=memory,
            evaluation=evaluation,
            limits=self.limits(times[FORWARD]),
            scaling=dict(
                setting=str(ONE_THREAD),
                by_size=cost_by_size(self.ours, ONE_THREAD, self.seconds),
                by_classes=cost_by_classes(self.ours, ONE_THREAD),
            ),
        )
        conditions = dict(
            machine=processor(),
            PyTorch=torch.__version__,
            Python=platform.python_version(),
            GPU=torch.cuda.get_device_name() if torch.cuda.is_available() else 'none',
            work='quick' if self.quick else 'full',
            took=f'{time.perf_counter() - start:.0f} s',
        )
        return dict(conditions=conditions, **results)

    def settings(self) -> list[Setting]:
        """List where things run."""
        settings = [ONE_THREAD] if self.quick else [ONE_THREAD, Setting(threads=2)]
        if torch.cuda.is_available():
            settings += [
                Setting('cuda', precision=precision, compiled=compiled)
                for precision in ('fp32', 'bf16')
                for compiled in ((False,) if self.quick else (False, True))
            ]
        return settings

    def times(
        self, build: workloads.Workload, fused: bool = False, lean_loss: bool = False
    ) -> list[dict]:
        """Time a kind of work of all heads, each group in turns.

        Args:
            build (Callable): The function in ``workloads``.
            fused (bool): Whether our heads are also measured after ``segheads.fuse``.
            lean_loss (bool): Whether our heads are also measured with the loss that up-samples by
                itself.
        """
        rows = []
        for group in self.groups:
            for setting in self.settings():
                subjects = [s for s in group if s.name != UPERHEAD or fused]
                work = {s.name: build(s, setting) for s in subjects}
                for subject in subjects:
                    if fused and subject.config:
                        work[f'{subject.name}, fused'] = build(subject, setting, fused=True)
                    if lean_loss and subject.config:
                        work[f'{subject.name}, {STRIP_LOSS}'] = build(
                            subject, setting, loss=STRIP_LOSS
                        )
                rows += self.measured(work, setting, group[0])
        return rows

    def models(self) -> list[dict]:
        """Time the whole models, all in turns."""
        return [
            row
            for setting in self.settings()
            for row in self.measured(
                {s.name: workloads.model_forward(s, setting) for s in self.ours},
                setting,
                self.ours[0],
            )
        ]

    def measured(self, work: dict, setting: Setting, reference: Subject) -> list[dict]:
        """Time workloads in turns, as rows of a table."""
        measured = measure(work, setting, self.seconds, self.rounds)
        print(f'{setting}: {", ".join(measured)}', flush=True)
        return [
            dict(name=name, reference=reference.name, setting=str(setting), **values)
            for name, values in measured.items()
        ]

    def memory(self) -> list[dict]:
        """Measure the peak memory of all heads."""
        setting = self.settings()[-1] if torch.cuda.is_available() else ONE_THREAD
        kinds = [('forward', 'forward', {}), ('training step', 'training_step', {})]
        kinds.append(('training step with losses', 'training_step_with_loss', {}))
        lean = (
            f'training step with {STRIP_LOSS}',
            'training_step_with_loss',
            dict(loss=STRIP_LOSS),
        )
        rows = []
        for subject in (subject for group in self.groups for subject in group):
            for work, kind, arguments in [*kinds, lean] if subject.config else kinds:
                if subject.name == UPERHEAD and kind != 'forward':
                    continue
                peak = peak_memory(kind, subject.name, setting, arguments)
                rows.append(
                    dict(name=subject.name, work=work, setting=str(setting), mebibytes=peak)
                )
        print('memory', flush=True)
        return rows

    def evaluation(self, cases: Sequence[tuple[tuple[int, int], int]]) -> list[dict]:
        """Compare MMSegmentation's prediction with ours, in images per second and memory.

        Args:
            cases (Sequence): Sizes of the image, (height, width), and numbers of classes.
        """
        subject = next(s for s in self.ours if s.name == 'CCASeg, MiT-B0')
        setting = Setting(device='cuda' if torch.cuda.is_available() else 'cpu', threads=2)
        segmentors = (MMSEG_SEGMENTORS[subject.segmentor()], subject.segmentor())
        rows = []
        for size, num_classes in cases:
            arguments = {
                name: dict(size=size, num_classes=num_classes, segmentor=name)
                for name in segmentors
            }
            # In its process the workload is warmed up with a small image, and so are the times.
            peaks = {
                name: peak_memory('prediction', subject.name, setting, case)
                for name, case in arguments.items()
            }
            build = partial(workloads.prediction, subject, setting)
            work = {name: build(**case) for name, case in arguments.items()}
            measured = measure(work, setting, self.seconds, self.rounds)
            rows += [
                dict(
                    name=subject.name,
                    image='x'.join(map(str, size)),
                    classes=num_classes,
                    segmentor=name,
                    images_per_second=1e3 / values['milliseconds']['median'],
                    ratio=1 / values['ratio']['median'],
                    mebibytes=peaks[name],
                )
                for name, values in measured.items()
            ]
        print('evaluation', flush=True)
        return rows

    def limits(self, forward: list[dict]) -> dict:
        """Compare the forward passes with their multiply-adds at the rate of matrix products."""
        rate = matrix_product_rate()
        measured = {
            row['name']: row['milliseconds']['median']
            for row in forward
            if row['setting'] == str(ONE_THREAD)
        }
        rows = []
        for subject in (subject for group in self.groups for subject in group):
            count = multiply_adds(subject)
            rows.append(
                dict(
                    name=subject.name,
                    multiply_adds=count,
                    least_milliseconds=1e3 * count / rate,
                    milliseconds=measured[subject.name],
                )
            )
        return dict(rate=rate, heads=rows)


def processor() -> str:
    """Return the name of the processor and its number of cores."""
    information = Path('/proc/cpuinfo')
    if not information.exists():
        return platform.processor()
    lines = [line for line in information.read_text().splitlines() if 'model name' in line]
    return f'{lines[0].split(":")[1].strip()}, {len(lines)} cores' if lines else platform.machine()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description='Measure speed and memory of the heads')
    parser.add_argument('--quick', action='store_true', help='fewer rounds and cases')
    parser.add_argument(
        '--out', default='runs/benchmarks', type=Path, help='where the results are written'
    )
    options = parser.parse_args(arguments)

    keep_freed_memory()  # as the commands of segheads do
    results = Benchmark(options.quick).run()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / 'results.json').write_text(json.dumps(results, indent=1))
    (options.out / 'results.md').write_text(render(results))
    plot_costs(results, options.out / 'costs.png')
    print(render(results))


if __name__ == '__main__':
    main()
