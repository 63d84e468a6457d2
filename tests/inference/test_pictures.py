"""What is shown of images that are no pictures."""

import numpy as np
import pytest

from segheads.inference.pictures import as_picture

RGB = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.mark.parametrize('kind', [np.uint8, np.float32])
def test_values_of_8_bits_stay(kind):
    assert np.array_equal(as_picture(RGB.astype(kind)), RGB)
    assert np.array_equal(as_picture(RGB[..., ::-1].astype(kind), blue_first=True), RGB)


def test_grey_and_more_bands():
    grey = np.repeat(RGB[..., :1], 3, axis=2)
    for image in (RGB[..., 0], RGB[..., :1], RGB[..., :2]):
        assert np.array_equal(as_picture(image), grey)
    five = np.dstack([RGB, RGB[..., :2]])
    assert np.array_equal(as_picture(five), RGB)
    four = np.dstack([RGB[..., ::-1], RGB[..., :1]])
    assert np.array_equal(as_picture(four, blue_first=True), RGB)


@pytest.mark.parametrize('kind', [np.uint16, np.float32, np.float64, np.int16])
def test_other_values_are_scaled_by_their_percentiles(kind):
    ramp = np.linspace(0, 3000, 1000).astype(kind).reshape(20, 50)
    shown = as_picture(ramp)[..., 0].ravel()
    assert shown.dtype == np.uint8 and (np.diff(shown.astype(int)) >= 0).all()
    assert (shown[:20] == 0).all() and (shown[-20:] == 255).all() and abs(int(shown[500]) - 128) < 3
    # By one factor for all bands, which keeps the hue.
    shown = as_picture(np.dstack([ramp, ramp // 2, ramp * 0]))
    assert shown[10, 25].tolist()[2] == 0 and abs(int(shown[15, 0, 0]) - 2 * shown[15, 0, 1]) < 5


def test_only_the_bands_that_are_shown_count():
    bands = np.dstack([RGB.astype(np.uint16) << 4, np.full(RGB.shape[:2], 65535, np.uint16)])
    assert as_picture(bands).max() == 255


def test_values_without_a_range():
    assert not as_picture(np.full((2, 2, 3), 500, np.uint16)).any()
    assert not as_picture(np.full((2, 2, 3), np.nan, np.float32)).any()
    partly = np.linspace(0, 1, 300, dtype=np.float32).reshape(10, 10, 3)
    partly[0, 0], partly[0, 1] = np.nan, np.inf
    shown = as_picture(partly)
    assert not shown[0, :2].any() and shown.max() == 255


def test_a_large_image_is_judged_by_a_part_of_it():
    image = np.zeros((1500, 1500), np.uint16)
    image[:, 750:] = 1000
    assert set(np.unique(as_picture(image))) == {0, 255}
