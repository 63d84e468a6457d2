"""Prediction gives a model the pixels that training does, whatever the file."""

import io
import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmseg.registry import TRANSFORMS
from PIL import Image, UnidentifiedImageError
from tiny_run import sentence

import segheads

SIZE = (40, 48)
RGB = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
RGB[10:30, 10:30] = 200  # something smooth for formats that lose details
RGBA = np.dstack([RGB, np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8)])
GREY = RGB[..., 0]
DEEP = RGB.astype(np.uint16) * 257 + 3
TWELVE_BITS = DEEP >> 4
LOADERS = {
    'default': dict(),
    'floating point': dict(to_float32=True),
    'grey': dict(color_type='grayscale'),
    'unchanged': dict(color_type='unchanged'),
    'unchanged, floating point': dict(color_type='unchanged', to_float32=True),
    'without rotation': dict(color_type='color_ignore_orientation'),
    'pillow': dict(imdecode_backend='pillow'),
    'any depth': dict(color_type=3),
}


def encode(pixels, kind, mode=None, orientation=None, **settings):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image = image.convert(mode) if mode else image
    if orientation:
        settings['exif'] = image.getexif()
        settings['exif'][0x0112] = orientation
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()


def encode_deep(pixels, suffix):
    return cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def tiff_with_alpha(meaning):
    """A TIFF whose fourth channel is 0: anything, 1: premultiplied, 2: plain transparency."""
    content = bytearray(encode(RGBA, 'TIFF'))
    at = content.find(struct.pack('<HHI', 338, 3, 1))
    content[at + 8 : at + 10] = struct.pack('<H', meaning)
    return bytes(content)


FILES = {
    'grey.png': encode(GREY, 'PNG'),
    'rgb.png': encode(RGB, 'PNG'),
    'rgba.png': encode(RGBA, 'PNG'),
    'grey_alpha.png': encode(RGBA, 'PNG', 'LA'),
    'palette.png': encode(RGB, 'PNG', 'P'),
    'palette_transparent.png': encode(RGB, 'PNG', 'P', transparency=3),
    'one_bit.png': encode(GREY > 99, 'PNG'),
    'deep_grey.png': encode_deep(DEEP[..., 0], '.png'),
    'deep.png': encode_deep(DEEP, '.png'),
    'twelve_bits.png': encode_deep(TWELVE_BITS[..., 0], '.png'),
    'turned.png': encode(RGB, 'PNG', orientation=6),
    'grey.jpg': encode(GREY, 'JPEG'),
    'rgb.jpg': encode(RGB, 'JPEG'),
    'cmyk.jpg': encode(RGB, 'JPEG', 'CMYK'),
    'progressive.jpg': encode(RGB, 'JPEG', progressive=True, subsampling=2),
    'rgb.webp': encode(RGB, 'WEBP'),
    'rgba.webp': encode(RGBA, 'WEBP', lossless=True),
    'turned.webp': encode(RGB, 'WEBP', orientation=8, lossless=True),
    'rgb.bmp': encode(RGB, 'BMP'),
    'grey.bmp': encode(GREY, 'BMP'),
    'rgb.gif': encode(RGB, 'GIF'),
    'moving.gif': encode(RGB, 'GIF', save_all=True, append_images=[Image.fromarray(255 - RGB)]),
    'rgb.tif': encode(RGB, 'TIFF'),
    'compressed.tif': encode(RGB, 'TIFF', compression='tiff_lzw'),
    'cmyk.tif': encode(RGB, 'TIFF', 'CMYK'),
    'deep.tif': encode_deep(DEEP, '.tiff'),
    'twelve_bits.tif': encode_deep(TWELVE_BITS, '.tiff'),
    'float.tif': encode_deep((RGB / 255).astype(np.float32), '.tiff'),
    **{f'alpha_{meaning}.tif': tiff_with_alpha(meaning) for meaning in (0, 1, 2)},
    **{f'turned_{way}.jpg': encode(RGB, 'JPEG', orientation=way) for way in range(2, 9)},
}


def pixels_of_training(path, pipeline):
    steps = [TRANSFORMS.build(step) for step in pipeline if step['type'] != 'LoadAnnotations']
    return Compose(steps)(dict(img_path=str(path)))['inputs']


def pixels_of_prediction(path, pipeline):
    """What `segheads.predict` gives to a model."""
    given = []

    def test_step(data):
        given.extend(data['inputs'])
        empty = SimpleNamespace(pred_sem_seg=SimpleNamespace(data=torch.zeros(1, 1, 1)))
        return [empty for _ in data['inputs']]

    model = SimpleNamespace(
        cfg=Config(dict(test_pipeline=pipeline)),
        data_preprocessor=SimpleNamespace(test_cfg=None),
        test_step=test_step,
    )
    segheads.predict(model, path)
    return given[0]


@pytest.mark.parametrize('loader', LOADERS)
def test_prediction_sees_what_training_sees(tmp_path, loader):
    pipeline = [
        dict(type='LoadImageFromFile', **LOADERS[loader]),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    unread = set()
    for name, content in FILES.items():
        path = tmp_path / name
        path.write_bytes(content)
        try:
            expected = pixels_of_training(path, pipeline)
        except (AssertionError, UnidentifiedImageError):  # training cannot read it
            assert name in sentence(pixels_of_prediction, path, pipeline)
            unread.add(name)
            continue
        got = pixels_of_prediction(path, pipeline)
        assert got.dtype == expected.dtype and torch.equal(got, expected), name
    assert unread <= {'float.tif', 'rgb.gif', 'moving.gif'}  # OpenCV 4 reads no GIF


def test_the_files_are_what_they_are_called(tmp_path):
    """Else the test above would compare less than it says."""
    form = dict(type='LoadImageFromFile', color_type='unchanged')
    shapes = {}
    for name in ('deep.png', 'twelve_bits.png', 'alpha_2.tif', 'float.tif', 'grey.bmp'):
        (tmp_path / name).write_bytes(FILES[name])
        pixels = pixels_of_training(tmp_path / name, [form, dict(type='PackSegInputs')])
        shapes[name] = (len(pixels), str(pixels.dtype).removeprefix('torch.'))
    assert shapes == {
        'deep.png': (3, 'uint16'),
        'twelve_bits.png': (1, 'uint16'),
        'alpha_2.tif': (4, 'uint8'),
        'float.tif': (3, 'float32'),
        'grey.bmp': (1, 'uint8'),
    }
    (tmp_path / 'turned_6.jpg').write_bytes(FILES['turned_6.jpg'])
    form = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    assert pixels_of_training(tmp_path / 'turned_6.jpg', form).shape == (3, SIZE[1], SIZE[0])
