"""Images of every kind end as RGB with 8 bits per channel."""

import numpy as np
import pytest
from PIL import Image
from tiny_run import sentence

from segheads.inference.images import read_image

RGB = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'image.png')
    return tmp_path / 'image.png'


def test_paths_pillow_and_numpy_agree(path):
    with Image.open(path) as opened:
        for image in (str(path), path, opened, RGB):
            assert np.array_equal(read_image(image), RGB)


def test_any_address_of_mmengine():
    image = read_image('scenes://32x48/seed0/val/images/000000.bmp')
    assert image.shape == (32, 48, 3) and image.std() > 0


def test_grey_has_three_equal_channels():
    grey = RGB[..., 0]
    expected = np.stack([grey] * 3, axis=2)
    for image in (grey, grey[..., None], Image.fromarray(grey)):
        assert np.array_equal(read_image(image), expected)


def test_of_16_bits_the_upper_8_are_kept(tmp_path):
    grey = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / 'grey.png')
    for image in (grey, Image.fromarray(grey), tmp_path / 'grey.png'):
        assert read_image(image)[..., 0].tolist() == [[0, 0, 1, 255]]
    assert read_image(np.full((1, 1, 3), 0x1234, dtype=np.uint16)).tolist() == [[[0x12] * 3]]


def test_transparency_is_ignored(tmp_path):
    rgba = np.dstack([RGB, np.zeros((3, 5), dtype=np.uint8)])
    assert np.array_equal(read_image(rgba), RGB)
    assert np.array_equal(read_image(Image.fromarray(rgba)), RGB)


def test_the_rotation_in_exif_is_applied(tmp_path):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # the top of the scene is at the right of the stored image
    image.save(tmp_path / 'turned.png', exif=exif)
    assert np.array_equal(read_image(tmp_path / 'turned.png'), np.rot90(RGB, -1))


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'CMYK', 'YCbCr', 'HSV', 'I'])
def test_every_mode_of_pillow(mode):
    image = read_image(Image.fromarray(RGB).convert(mode))
    assert image.shape == RGB.shape and image.dtype == np.uint8


def test_what_is_no_image(path, tmp_path):
    assert 'does not exist' in sentence(read_image, tmp_path / 'none.png')
    (tmp_path / 'text.png').write_text('no image')
    assert 'no format that Pillow knows' in sentence(read_image, tmp_path / 'text.png')
    content = path.read_bytes()
    (tmp_path / 'half.png').write_bytes(content[: len(content) // 2])
    assert 'half.png cannot be read as an image' in sentence(read_image, tmp_path / 'half.png')
    assert 'floating-point' in sentence(read_image, Image.new('F', (2, 2)))
    assert 'is a path' in sentence(read_image, 7)
    for array in (RGB[..., :2], RGB.astype(np.float32), RGB[:0], RGB[None]):
        assert 'uint8 or uint16, but got' in sentence(read_image, array)
