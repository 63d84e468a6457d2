"""Masks that hold no class ids get the advice that helps."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from png_files import GREY, png_file
from tiny_run import sentence

from segheads.configs.preflight import check_data
from segheads.data.mask_forms import colour_advice, why_unreadable


def save_masks(change, suffix='.png', **settings):
    """Writes the masks of the training set in another form."""
    for path in Path('data/annotations/train').glob('*.png'):
        labels = np.array(Image.open(path))
        labels[labels == 255] = 0
        path.unlink()
        Image.fromarray(change(labels)).save(path.with_suffix(suffix), **settings)


def test_grey_masks_of_four_bits(cfg):
    for path in Path('data/annotations/train').glob('*.png'):
        labels = np.array(Image.open(path)) % 16
        rows = np.pad(labels[:, ::2] << 4 | labels[:, 1::2], ((0, 0), (1, 0)))
        path.write_bytes(png_file(*labels.shape[::-1], 4, GREY, rows.tobytes()))
    told = sentence(check_data, cfg, ('train',))
    assert 'a grey PNG with 4 bits per pixel is read in multiples of 17' in told
    assert 'multiplied' not in told


def test_masks_that_were_saved_as_jpeg(cfg):
    save_masks(lambda labels: labels * 100, '.jpg', quality=60)
    cfg.train_dataloader.dataset.seg_map_suffix = '.jpg'
    assert 'JPEG changes labels where it compresses' in sentence(check_data, cfg, ('train',))


def test_class_ids_that_were_multiplied_to_be_seen(cfg):
    save_masks(lambda labels: labels * 80)
    told = sentence(check_data, cfg, ('train',))
    assert 'if class ids were multiplied by 80, to be seen, divide them by it' in told


def test_masks_that_were_resized_smoothly(cfg):
    save_masks(lambda labels: np.arange(40 * 48).reshape(40, 48).astype(np.uint8) % 200)
    assert 'resize masks without interpolation' in sentence(check_data, cfg, ('train',))


@pytest.mark.parametrize('kind', [np.float32, np.int32])
def test_whole_numbers_of_other_types_are_labels(cfg, kind):
    save_masks(lambda labels: labels.astype(kind), '.tif')
    cfg.train_dataloader.dataset.seg_map_suffix = '.tif'
    check_data(cfg, ('train',))


def test_masks_in_colours(cfg):
    save_masks(lambda labels: np.stack([labels * 60, labels * 0, labels * 0 + 128], 2))
    told = sentence(check_data, cfg, ('train',))
    assert 'is a colour image of shape (40, 48, 3)' in told
    assert '3 colours, (0, 0, 128), (60, 0, 128), (120, 0, 128), which stand for classes' in told
    assert '`segheads import SOURCE --out DATA`' in told


def test_colours_that_are_no_colours():
    grey = np.arange(256).reshape(16, 16).astype(np.uint8)
    assert 'keep one of them' in colour_advice(np.stack([grey] * 3, 2))
    assert 'keep one of them' in colour_advice(np.stack([grey] * 4, 2))
    assert 'transparency' in colour_advice(np.stack([grey] * 2, 2))
    photograph = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert 'is data_prefix.seg_map_path the folder of the masks?' in colour_advice(photograph)


def test_reasons_are_short():
    assert why_unreadable(FileNotFoundError(2, 'No such file')) == 'it does not exist'
    assert why_unreadable(AssertionError('failed to load image')) == 'it is damaged, or no image'
    assert why_unreadable(OSError('one line\nand another')) == 'one line'
    assert why_unreadable(ValueError()) == 'ValueError'
