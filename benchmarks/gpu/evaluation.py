"""Prediction of whole models, from the image to the class map, one image at a time."""

from functools import partial

from benchmarks import workloads
from benchmarks.gpu.costs import cost_rows
from benchmarks.gpu.parts import Options, Write
from benchmarks.gpu.training_steps import FIRST, MMSEG
from benchmarks.subjects import ours
from benchmarks.workloads import MMSEG_SEGMENTORS

CASES = (((512, 683), 150), ((1024, 2048), 19))
TINY = (((32, 48), 5),)


def run(options: Options, write: Write) -> None:
    """Measure every model in every precision, those of the aims first."""
    subjects = sorted(ours(), key=lambda subject: subject.name not in FIRST)
    for size, num_classes in TINY if options.dry_run else CASES:
        for precision in options.precisions:
            setting = options.setting(precision)
            for subject in subjects[:1] if options.dry_run else subjects:
                build = partial(workloads.prediction, subject, setting, size, num_classes)
                builders = {
                    MMSEG: partial(build, segmentor=MMSEG_SEGMENTORS[subject.segmentor()]),
                    'ours': build,
                }
                case = f'{subject.name}, {size[0]}x{size[1]}, {num_classes} classes'
                for row in cost_rows(builders, setting, options, case=case):
                    if 'ms' in row:
                        row['images/s'] = 1e3 / row['ms']
                    write(row)
