"""Images of every kind end as what the config loads from a file."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from tiny_run import sentence

from segheads.inference.images import ImageReader, LoadedImage

RGB = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)


def reading(**settings):
    """The reader of a config whose loading transform has these settings."""
    loader = dict(type='LoadImageFromFile', **settings)
    return ImageReader(Config(dict(test_pipeline=[loader, dict(type='PackSegInputs')])))


def read(image):
    """The picture that a config without anything unusual loads."""
    return ImageReader()(image).picture


@pytest.fixture
def path(tmp_path):
    Image.fromarray(RGB).save(tmp_path / 'image.png')
    return tmp_path / 'image.png'


def test_paths_pillow_and_numpy_agree(path):
    with Image.open(path) as opened:
        for image in (str(path), path, opened, RGB):
            loaded = ImageReader()(image)
            assert np.array_equal(loaded.picture, RGB)
            assert np.array_equal(loaded.pixels, RGB[..., ::-1])  # as OpenCV has it


def test_what_has_been_read_is_not_read_again(path):
    loaded = ImageReader()(path)
    assert isinstance(loaded, LoadedImage) and ImageReader()(loaded) is loaded


def test_any_address_of_mmengine():
    image = read('scenes://32x48/seed0/val/images/000000.bmp')
    assert image.shape == (32, 48, 3) and image.std() > 0


def test_grey_has_three_equal_channels():
    grey = RGB[..., 0]
    expected = np.stack([grey] * 3, axis=2)
    for image in (grey, grey[..., None], Image.fromarray(grey)):
        assert np.array_equal(read(image), expected)


def test_of_16_bits_the_upper_8_are_kept(tmp_path):
    grey = np.array([[0, 255, 256, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / 'grey.png')
    for image in (grey, Image.fromarray(grey), tmp_path / 'grey.png'):
        assert read(image)[..., 0].tolist() == [[0, 0, 1, 255]]
    assert read(np.full((1, 1, 3), 0x1234, dtype=np.uint16)).tolist() == [[[0x12] * 3]]


def test_transparency_is_ignored(tmp_path):
    rgba = np.dstack([RGB, np.zeros((3, 5), dtype=np.uint8)])
    assert np.array_equal(read(rgba), RGB)
    assert np.array_equal(read(Image.fromarray(rgba)), RGB)


def test_the_rotation_in_exif_is_applied(tmp_path):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # the top of the scene is at the right of the stored image
    image.save(tmp_path / 'turned.png', exif=exif)
    with Image.open(tmp_path / 'turned.png') as opened:
        assert np.array_equal(read(opened), np.rot90(RGB, -1))


@pytest.mark.parametrize('mode', ['1', 'L', 'LA', 'P', 'CMYK', 'YCbCr', 'HSV', 'I'])
def test_every_mode_of_pillow(mode):
    image = read(Image.fromarray(RGB).convert(mode))
    assert image.shape == RGB.shape and image.dtype == np.uint8


def test_a_grey_model_gets_one_channel():
    reader = reading(color_type='grayscale')
    grey = RGB[..., 0]
    for image in (grey, grey[..., None], np.stack([grey] * 3, axis=2), Image.fromarray(grey)):
        loaded = reader(image)
        assert np.array_equal(loaded.pixels, grey)
        assert np.array_equal(loaded.picture, np.stack([grey] * 3, axis=2))
    assert reader(RGB).shape == (3, 5)


def test_where_the_config_loads_what_the_file_has_values_and_channels_stay():
    reader = reading(color_type='unchanged')
    deep = (RGB * np.float64(0.5)).astype(np.float64)
    assert reader(deep).pixels.dtype == np.float32
    assert np.array_equal(reader(deep).pixels, deep[..., ::-1])
    for kind in (np.uint8, np.uint16, np.int16, np.float32):
        bands = np.arange(60, dtype=kind).reshape(3, 4, 5)
        assert reader(bands).pixels.dtype == kind and np.array_equal(reader(bands).pixels, bands)
    four = np.dstack([RGB, RGB[..., :1]])
    assert np.array_equal(reader(four).pixels, four[..., [2, 1, 0, 3]])
    assert np.array_equal(reader(Image.fromarray(four)).pixels, four[..., [2, 1, 0, 3]])
    deep_grey = np.array([[0, 4095]], dtype=np.uint16)
    assert np.array_equal(reader(Image.fromarray(deep_grey)).pixels, deep_grey)
    values = np.array([[0.25, -3]], dtype=np.float32)
    assert np.array_equal(reader(Image.fromarray(values)).pixels, values)
    assert 'but got (3,) of' in sentence(reader, RGB[:, 0, 0])


def test_arrays_have_the_order_of_tifffile_where_it_reads():
    pytest.importorskip('tifffile')
    reader = reading(color_type='unchanged', imdecode_backend='tifffile')
    assert np.array_equal(reader(RGB).pixels, RGB) and np.array_equal(reader(RGB).picture, RGB)


def test_floating_point_is_kept_where_the_config_asks_for_it(path):
    for image in (path, RGB):
        loaded = reading(to_float32=True)(image)
        assert loaded.pixels.dtype == np.float32
        assert np.array_equal(loaded.picture, RGB)


def test_a_flag_of_opencv_in_place_of_a_colour_type():
    deep = (RGB.astype(np.uint16) << 4) + 3
    reader = reading(color_type=3)  # any depth, three channels
    assert np.array_equal(reader(deep).pixels, deep[..., ::-1])
    assert reader(deep[..., 0]).shape == (3, 5, 3)
    assert reading(color_type=2)(deep).pixels.dtype == np.uint16  # any depth, grey


def test_a_colour_type_that_is_misspelt():
    assert "is 'colour'; did you mean color?" in sentence(reading, color_type='colour')


def test_a_pipeline_that_cannot_be_built():
    told = sentence(reading, colour_type='grayscale')
    assert 'LoadImageFromFile of the pipeline cannot be built' in told and "'colour_type'" in told
    unknown = Config(dict(test_pipeline=[dict(type='LoadImageFromFil')]))
    assert "'LoadImageFromFil', which is not registered" in sentence(ImageReader, unknown)
    following = [dict(type='LoadImageFromFile'), dict(type='Resize', scales=3)]
    pipeline = ImageReader(Config(dict(test_pipeline=following))).pipeline
    assert 'Resize of the pipeline cannot be built' in sentence(pipeline.preparation)


def test_the_loader_of_inferencers(path):
    steps = [dict(type='InferencerLoader', color_type='grayscale'), dict(type='PackSegInputs')]
    reader = ImageReader(Config(dict(test_pipeline=steps)))
    assert reader(path).shape == reader(RGB).shape == (3, 5)


@pytest.mark.parametrize('settings', [dict(), dict(color_type='unchanged')])
def test_pytorch_may_write_to_the_pixels(settings):
    read_only = Image.fromarray(RGB[..., 0])
    assert not np.asarray(read_only).flags.writeable
    assert reading(**settings)(read_only).pixels.flags.writeable


def test_a_config_that_reads_arrays_only(path):
    steps = [dict(type='LoadImageFromNDArray', to_float32=True), dict(type='PackSegInputs')]
    loaded = ImageReader(Config(dict(test_pipeline=steps)))(path)
    assert loaded.pixels.dtype == np.float32 and np.array_equal(loaded.picture, RGB)


def test_what_is_no_image(path, tmp_path):
    assert 'none.png does not exist' in sentence(read, tmp_path / 'none.png')
    (tmp_path / 'text.png').write_text('no image')
    assert 'text.png cannot be read as an image: it is damaged, or of a kind' in sentence(
        read, tmp_path / 'text.png'
    )
    (tmp_path / 'empty.png').write_bytes(b'')
    assert 'empty.png cannot be read as an image: it is empty' in sentence(
        read, tmp_path / 'empty.png'
    )
    content = path.read_bytes()
    (tmp_path / 'half.png').write_bytes(content[: len(content) // 2])
    assert 'half.png cannot be read as an image' in sentence(read, tmp_path / 'half.png')
    with Image.open(tmp_path / 'half.png') as half:
        assert 'cannot be read as an image' in sentence(read, half)
    assert 'cannot be read as an image' in sentence(read, tmp_path)
    assert 'floating-point' in sentence(read, Image.new('F', (2, 2)))
    assert 'is a path' in sentence(read, 7)
    for array in (RGB[..., :2], RGB.astype(np.float32), RGB[:0], RGB[None]):
        assert 'uint8 or uint16, but got' in sentence(read, array)
    optional = reading(ignore_empty=True)
    assert 'cannot be read as an image' in sentence(optional, tmp_path / 'text.png')
