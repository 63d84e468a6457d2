"""What the loading transform leaves out of images, and what damages their values."""

import struct
from pathlib import Path

import cv2
import mmcv.image.io
import numpy as np
import pytest
from PIL import Image
from tiny_run import command, sentence

from segheads.configs.preflight import check_data
from segheads.data.image_files import ImagePipeline
from segheads.data.image_loading import loading_notes, value_fault

SIZE = (40, 48)
DEEP = np.random.default_rng(0).integers(0, 4096, (*SIZE, 3), dtype=np.uint16)


def steps(*following, **loading):
    return [dict(type='LoadImageFromFile', **loading), *(dict(type=name) for name in following)]


def notes(path, **loading):
    return loading_notes(ImagePipeline(steps(**loading)), [str(path)])


def test_bits_that_are_cut_off(tmp_path):
    path = tmp_path / 'deep.png'
    cv2.imwrite(str(path), DEEP[..., 0])
    (note,) = notes(path)
    assert f'{path} hold values up to 4095 in uint16' in note and '16 levels' in note
    assert "color_type='unchanged'" in note
    assert len(notes(path, to_float32=True)) == 1
    assert notes(path, color_type='unchanged') == []
    Image.fromarray((DEEP >> 4).astype(np.uint8)).save(path)
    assert notes(path) == []


@pytest.mark.parametrize(('meaning', 'does'), [(0, 'takes three'), (2, 'multiplies three by')])
def test_a_fourth_band(tmp_path, meaning, does):
    pytest.importorskip('tifffile')
    bands = np.random.default_rng(0).integers(0, 256, (*SIZE, 4), dtype=np.uint8)
    Image.fromarray(bands).save(tmp_path / 'a.tif')
    content = bytearray((tmp_path / 'a.tif').read_bytes())
    at = content.find(struct.pack('<HHI', 338, 3, 1))  # what the fourth sample means
    content[at + 8 : at + 10] = struct.pack('<H', meaning)
    (tmp_path / 'a.tif').write_bytes(content)
    (note,) = notes(tmp_path / 'a.tif')
    assert does in note and 'in_channels=4' in note
    assert len(notes(tmp_path / 'a.tif', color_type='unchanged')) == (meaning == 2)
    assert 'takes three' in notes(tmp_path / 'a.tif', imdecode_backend='pillow')[0]
    assert notes(tmp_path / 'a.tif', imdecode_backend='tifffile') == []
    Image.fromarray(bands).save(tmp_path / 'a.png')  # in a picture it is transparency
    assert notes(tmp_path / 'a.png') == []


def test_transforms_that_make_bytes_of_other_values(tmp_path):
    path = str(tmp_path / 'deep.png')
    cv2.imwrite(path, DEEP)

    def fault(*following, **loading):
        pipeline = steps(*following, **loading)
        return value_fault(ImagePipeline(pipeline), pipeline, [path], 'key')

    told = fault('PhotoMetricDistortion', color_type='unchanged')
    assert told.startswith('key: PhotoMetricDistortion makes 8 bits of') and 'to 4095' in told
    assert fault('PhotoMetricDistortion') is None
    assert fault('RandomFlip', color_type='unchanged') is None
    nested = [*steps(color_type='unchanged'), dict(type='Compose', transforms=steps('CLAHE'))]
    assert 'CLAHE' in value_fault(ImagePipeline(nested), nested, [path], 'key')
    cv2.imwrite(path, (DEEP >> 4).astype(np.uint8))
    assert fault('PhotoMetricDistortion', color_type='unchanged', to_float32=True) is None


def test_training_refuses_them(cfg):
    for path in Path('data/images/train').iterdir():
        cv2.imwrite(str(path), DEEP)
    check_data(cfg, ['train'])
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline[0].color_type = 'unchanged'
    pipeline.insert(2, dict(type='PhotoMetricDistortion'))
    assert 'remove PhotoMetricDistortion' in sentence(check_data, cfg, ['train'])


def test_the_check_reads_images_as_training_does(workspace, capsys):
    for path in Path('data/images/train').iterdir():
        cv2.imwrite(str(path), DEEP[..., 0])
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save('data/images/train/1.png')
    command('check')(['tiny.py'])
    assert 'note: images such as data/images/train/' in capsys.readouterr().out
    text = Path('tiny.py').read_text()
    Path('tiny.py').write_text(
        text.replace("type='LoadImageFromFile'", "type='LoadImageFromFile', color_type='unchanged'")
    )
    command('check')(['tiny.py', '--splits', 'train'])
    printed = capsys.readouterr().out
    assert (
        'channels as they are loaded, 1 in 3 (for example data/images/train/0.png), 3 in' in printed
    )
    assert 'upper 8 bits' not in printed


def test_tifffile_that_is_missing(cfg, monkeypatch):
    monkeypatch.setattr(mmcv.image.io, 'tifffile', None)
    check_data(cfg, ['train'])
    cfg.train_dataloader.dataset.pipeline[0].imdecode_backend = 'tifffile'
    assert 'pip install "segheads[tiff]"' in sentence(check_data, cfg, ['train'])
    bands = [dict(type='LoadMultiBandImageFromFile')]
    assert 'segheads[tiff]' in sentence(ImagePipeline, bands)
