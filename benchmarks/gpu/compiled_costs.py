"""The same work eager and compiled. Compilation is not measured, but part of the limit."""

from dataclasses import replace
from functools import partial

from benchmarks import workloads
from benchmarks.gpu.costs import cost_rows
from benchmarks.gpu.head_costs import FORWARD, MODEL
from benchmarks.gpu.parts import Options, SkippedPart, Write
from benchmarks.gpu.training_steps import FIRST, batch_size, training_step
from benchmarks.subjects import ours
from benchmarks.workloads import IMAGE


def run(options: Options, write: Write) -> None:
    """Measure every model in bfloat16 and in float32, those of the aims first."""
    if options.device == 'cpu':
        raise SkippedPart('compilation for a CPU takes minutes')
    subjects = sorted(ours(), key=lambda subject: subject.name not in FIRST)
    for precision in ('bf16', 'fp32'):
        eager = options.setting(precision)
        compiled = replace(eager, compiled=True)
        ways = {'eager': eager, 'compiled': compiled}
        for subject in subjects:
            batch = batch_size(subject)
            step = partial(training_step, subject)
            cases = {
                f'training step, {batch}x512x512': lambda s, b=batch, f=step: f(s, b, IMAGE),
                FORWARD: partial(workloads.forward, subject),
                MODEL: partial(workloads.model_forward, subject),
            }
            for case, build in cases.items():
                builders = {way: partial(build, setting) for way, setting in ways.items()}
                name = f'{subject.name}, {case}'
                for row in cost_rows(builders, eager, options, case=name):
                    write(row)
