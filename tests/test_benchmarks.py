"""The benchmark measures what it says; its times are no business of a test."""

import sys
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope

sys.path.append(str(Path(__file__).parents[1]))

from benchmarks import workloads  # noqa: E402
from benchmarks.limits import multiply_adds  # noqa: E402
from benchmarks.report import table  # noqa: E402
from benchmarks.run import Benchmark  # noqa: E402
from benchmarks.subjects import ours  # noqa: E402
from benchmarks.timing import Spread, measure  # noqa: E402
from benchmarks.workloads import Setting  # noqa: E402

SMALL = (64, 64)


@pytest.fixture
def cgrseg():
    init_default_scope('mmseg')
    return next(subject for subject in ours() if subject.name.startswith('CGRSeg'))


def test_every_kind_of_work_runs(cgrseg):
    work = {
        kind: getattr(workloads, kind)(cgrseg, Setting(), size=SMALL)
        for kind in ('forward', 'training_step', 'training_step_with_loss', 'model_forward')
    }
    work['prediction'] = workloads.prediction(cgrseg, Setting(), SMALL, 19)
    measured = measure(work, Setting(), seconds=0, rounds=(2, 2))
    assert list(measured) == list(work)
    assert all(values['milliseconds']['median'] > 0 for values in measured.values())
    assert measured['forward']['ratio']['median'] == 1
    assert measured['training_step_with_loss']['ratio']['median'] > 1


def test_evaluation_is_compared_with_that_of_mmseg():
    released, ours = Benchmark(quick=True).evaluation([(SMALL, 5)])
    assert (released['segmentor'], ours['segmentor']) == ('EncoderDecoder', 'LeanEncoderDecoder')
    assert released['images_per_second'] > 0
    assert ours['ratio'] > 0


def test_more_pixels_are_more_work(cgrseg):
    assert 3 < multiply_adds(cgrseg, (256, 256)) / multiply_adds(cgrseg, (128, 128)) < 5


def test_spread_andtable():
    spread = Spread.of([5.0, 1.0, 3.0, 2.0, 4.0])
    assert (spread.low, spread.median, spread.high, spread.count) == (2, 3, 4, 5)
    assert table(('a', 'bb'), [(10, 'x')]).splitlines() == [
        '| a  | bb |',
        '| -- | -- |',
        '| 10 | x  |',
    ]
