"""Masks of 8 and 16 bits."""

import io

import numpy as np
import pytest
from PIL import Image

from segheads.data.mask_files import as_labels, decode_mask, label_fault_of_file


def encode(mask, kind='PNG'):
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize('decoder', ['pillow', 'cv2'])
def test_values_are_those_of_the_file(decoder):
    for kind in (np.uint8, np.uint16):
        mask = np.arange(12, dtype=kind).reshape(3, 4) * 20
        assert np.array_equal(decode_mask(encode(mask), decoder), mask)
    assert decode_mask(encode(np.zeros((1, 5), np.uint8)), decoder).shape == (1, 5)


def test_more_pixels_than_pillow_reads(monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 5)
    mask = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(decode_mask(encode(mask)), mask)
    assert Image.MAX_IMAGE_PIXELS == 5  # for everybody else


def test_what_is_no_image():
    with pytest.raises(OSError):
        decode_mask(b'no image')
    with pytest.raises(ValueError, match='not an image'):
        decode_mask(b'no image', 'cv2')


@pytest.mark.parametrize(
    ('values', 'fault'),
    [
        (np.array([[0, 255]], np.uint8), None),
        (np.array([[True]]), None),
        (np.array([[0, 65535]], np.int32), None),
        (np.array([[0, 7]], np.float32), None),
        (np.array([[0, 70000]], np.int32), 'holds 0 to 70000, as int32'),
        (np.array([[-1, 7]], np.int32), 'holds -1 to 7, as int32'),
        (np.array([[-1, 7]], np.float32), 'holds -1 to 7, as float32'),
        (np.array([[0.5, 7]], np.float32), 'holds numbers that are not whole, as float32'),
        (np.array([[np.nan, 7]], np.float32), 'holds numbers that are not whole, as float32'),
        (np.array([[np.inf, 7]], np.float32), 'holds 7 to inf, as float32'),
    ],
)
def test_labels_are_whole_numbers_of_16_bits(values, fault):
    assert label_fault_of_file(values) == fault


def test_labels_take_as_few_bytes_as_they_need():
    for kind in (np.uint8, np.uint16, np.int32, np.float32):
        assert as_labels(np.array([[0, 255]], kind)).dtype == np.uint8
    wide = as_labels(np.array([[0, 256, 65535]], np.float32))
    assert wide.dtype == np.uint16 and wide.tolist() == [[0, 256, 65535]]
