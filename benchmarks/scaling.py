"""Cost of the heads against the size of the image and the number of classes."""

from collections.abc import Sequence

from .subjects import Subject
from .timing import measure
from .workloads import Setting, forward

SIZES = (256, 512, 1024, 2048)
NUM_CLASSES = (2, 19, 150, 1000)


def cost_by_size(
    subjects: Sequence[Subject], setting: Setting, seconds: float
) -> dict[str, dict[int, float]]:
    """Measure the forward pass on square images, in ms, up to what would take so many seconds."""
    costs = {}
    for subject in subjects:
        costs[subject.name] = points = {}
        for size in SIZES:
            # Four times the pixels take four times as long, or more.
            if points and 4e-3 * max(points.values()) > seconds:
                break
            points[size] = _milliseconds(subject, setting, size=(size, size))
    return costs


def cost_by_classes(subjects: Sequence[Subject], setting: Setting) -> dict[str, dict[int, float]]:
    """Measure the forward pass on images of 512x512, in ms."""
    return {
        subject.name: {
            count: _milliseconds(subject, setting, num_classes=count) for count in NUM_CLASSES
        }
        for subject in subjects
    }


def _milliseconds(subject: Subject, setting: Setting, **arguments) -> float:
    workload = forward(subject, setting, **arguments)
    times = measure({subject.name: workload}, setting, seconds=0.5, rounds=(1, 5))
    return times[subject.name]['milliseconds']['median']
