"""Overlays and their legends."""

from types import SimpleNamespace

import numpy as np
import pytest
from tiny_run import sentence

import segheads
from segheads.inference.drawing import class_areas, draw_legend, paint

PALETTE = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
CLASSES = ['red', 'green', 'blue']
MODEL = SimpleNamespace(dataset_meta=dict(classes=CLASSES, palette=PALETTE))
IMAGE = np.full((40, 60, 3), 100, dtype=np.uint8)
CLASS_MAP = np.zeros((40, 60), dtype=np.int64)
CLASS_MAP[:, 20:] = 2
CLASS_MAP[0, 0] = 255


def colours(picture):
    return set(map(tuple, np.asarray(picture).reshape(-1, 3).tolist()))


def test_colours_are_mixed_with_the_image():
    overlay = paint(IMAGE, CLASS_MAP, PALETTE, opacity=0.5)
    assert overlay.dtype == np.uint8
    assert overlay[0, 1].tolist() == [178, 50, 50] and overlay[0, 59].tolist() == [50, 50, 178]
    assert overlay[0, 0].tolist() == [100] * 3  # 255 is no class
    assert np.array_equal(paint(IMAGE, CLASS_MAP, PALETTE, opacity=0), IMAGE)
    assert paint(IMAGE, CLASS_MAP, PALETTE, opacity=1)[5, 5].tolist() == PALETTE[0]


def test_the_legend_shows_the_classes_that_occur():
    picture = segheads.draw(MODEL, IMAGE, CLASS_MAP)
    assert picture.height > 40 and picture.width >= 60
    legend = np.asarray(picture)[40:]
    assert {(255, 0, 0), (0, 0, 255)} <= colours(legend) and (0, 255, 0) not in colours(legend)
    assert segheads.draw(MODEL, IMAGE, CLASS_MAP, legend=False).size == (60, 40)


def test_areas():
    assert class_areas(CLASS_MAP, 3).tolist() == [799, 0, 1600]


def test_a_legend_of_given_size_leaves_out_the_smallest():
    areas = np.array([5, 1, 100])
    names = ['a long name of a class'] * 3
    strip = draw_legend(areas, names, PALETTE, width=200, rows=1)
    assert (
        strip.width == 200 and (0, 0, 255) in colours(strip) and (255, 0, 0) not in colours(strip)
    )
    assert draw_legend(areas * 0, names, PALETTE, width=200, rows=1).size == strip.size
    grown = draw_legend(areas, names, PALETTE, width=20)
    assert grown.width > 100 and set(map(tuple, PALETTE)) <= colours(grown)


def test_no_class_at_all():
    picture = segheads.draw(MODEL, IMAGE, np.full((40, 60), 255))
    assert colours(picture) == {(100, 100, 100), (255, 255, 255)}


@pytest.mark.parametrize('opacity', [-0.1, 1.1])
def test_mistakes(opacity):
    assert 'between 0 and 1' in sentence(paint, IMAGE, CLASS_MAP, PALETTE, opacity)
    assert 'must be equal' in sentence(segheads.draw, MODEL, IMAGE, CLASS_MAP.T)
