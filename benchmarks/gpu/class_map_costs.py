"""From given logits to class maps: MMSegmentation's way and each implementation of ours."""

from functools import partial

from benchmarks.gpu.costs import cost_rows
from benchmarks.gpu.parts import Options, Write
from benchmarks.loss_and_evaluation import CASES, WHOLE, prediction
from benchmarks.workloads import Setting, Workload

TINY = {'tiny': (5, (32, 48), (40, 56), WHOLE)}


def run(options: Options, write: Write) -> None:
    """Measure every case, in float32 with and without TF32."""
    cases = {name: case[2] for name, case in CASES.items() if case[0] is prediction}
    for case, arguments in (TINY if options.dry_run else cases).items():
        for precision in (name for name in options.precisions if name != 'bf16'):
            setting = options.setting(precision)
            builders = {
                'MMSegmentation': partial(class_map, setting, 'EncoderDecoder', *arguments),
                **{
                    name: partial(class_map, setting, 'LeanEncoderDecoder', *arguments, name)
                    for name in options.implementations
                },
            }
            for row in cost_rows(builders, setting, options, case=case):
                write(row)


def class_map(
    setting: Setting,
    segmentor: str,
    num_classes: int,
    image_size: tuple[int, int],
    original_size: tuple[int, int],
    test_cfg: dict,
    implementation: str = 'auto',
) -> Workload:
    """Prepare the class map of one image."""
    test_cfg = dict(test_cfg, implementation=implementation)
    work = prediction(segmentor, num_classes, image_size, original_size, test_cfg, setting.device)

    def run() -> None:
        with setting.autocast():
            work()

    return run
