"""The windows of a block lie where they lie in the whole raster."""

import pytest

from segheads.inference import raster_windows
from segheads.inference.raster_windows import spans
from segheads.segmentors.tiled_prediction import _windows


@pytest.mark.parametrize('extent', [1, 31, 64, 65, 100, 333, 1000])
@pytest.mark.parametrize(('window', 'stride'), [(64, 64), (64, 48), (64, 20), (96, 7)])
@pytest.mark.parametrize('block', [1, 50, 200])
def test_every_pixel_has_all_its_windows(extent, window, stride, block, monkeypatch):
    monkeypatch.setattr(raster_windows, 'BLOCK_SIDE', block)
    whole = _windows(extent, window, stride)
    expected = [
        {(start, stop) for start, stop in whole if start <= pixel < stop} for pixel in range(extent)
    ]
    found = [None] * extent
    for span in spans(extent, window, stride):
        # As the model places them in what is read.
        placed = [
            (start + span.read_start, stop + span.read_start)
            for start, stop in _windows(span.read_stop - span.read_start, window, stride)
        ]
        for pixel in range(span.start, span.stop):
            assert found[pixel] is None
            found[pixel] = {each for each in placed if each[0] <= pixel < each[1]}
        assert span.core.stop - span.core.start == span.stop - span.start > 0
        assert span.read_stop - span.read_start <= max(block, stride) + 2 * window + stride
    assert found == expected


@pytest.mark.parametrize('extent', [65, 97, 130, 333])
def test_padding_of_the_whole_is_the_padding_of_its_last_block(extent, monkeypatch):
    monkeypatch.setattr(raster_windows, 'BLOCK_SIDE', 50)
    padded = -(-extent // 16) * 16
    whole = set(_windows(padded, 64, 48))
    placed, covered = set(), 0
    for span in spans(extent, 64, 48, divisor=16):
        length = -(-(span.read_stop - span.read_start) // 16) * 16
        placed |= {
            (start + span.read_start, stop + span.read_start)
            for start, stop in _windows(length, 64, 48)
        }
        assert span.start == covered
        covered = span.stop
    assert placed == whole and covered == extent
