"""Heads on given features, beside those of MMSegmentation, and whole models."""

from functools import partial

from benchmarks import workloads
from benchmarks.gpu.costs import cost_rows
from benchmarks.gpu.parts import Options, Write
from benchmarks.run import UPERHEAD
from benchmarks.subjects import groups, ours
from benchmarks.workloads import IMAGE, STRIP_LOSS

FORWARD = 'head, forward, batch 1'
TRAINING = 'head, training step, batch 2'
WITH_LOSS = 'head, training step with losses, batch 2'
MODEL = 'whole model, forward, batch 1'


KINDS = {FORWARD: 'forward', TRAINING: 'training_step', WITH_LOSS: 'training_step_with_loss'}


def run(options: Options, write: Write) -> None:
    """Measure every group of heads in every precision."""
    sized = dict(size=(32, 32) if options.dry_run else IMAGE)
    some = slice(1) if options.dry_run else slice(None)
    for precision in options.precisions:
        setting = options.setting(precision)
        for group in list(groups().values())[some]:
            subjects = [s for s in group if not options.dry_run or s.name != UPERHEAD]
            for case, kind in KINDS.items():
                build = partial(getattr(workloads, kind), setting=setting, **sized)
                builders = {s.name: partial(build, s) for s in subjects}
                if case == WITH_LOSS:
                    for subject in (s for s in subjects if s.config):
                        name = f'{subject.name}, {STRIP_LOSS}'
                        builders[name] = partial(build, subject, loss=STRIP_LOSS)
                for row in cost_rows(builders, setting, options, case=case):
                    write(row)
        build = partial(workloads.model_forward, setting=setting, **sized)
        builders = {s.name: partial(build, s) for s in ours()[some]}
        for row in cost_rows(builders, setting, options, case=MODEL):
            write(row)
