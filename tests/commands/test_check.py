"""Every image and mask is read, and what training would stumble over is told."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image
from tiny_run import command, sentence, write_workspace

from segheads.data.scan import DatasetScanner

check_dataset = command('check')
KEY = 'train_dataloader.dataset'


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Rich folds its table at the width of the terminal.
    monkeypatch.setenv('COLUMNS', '120')
    return write_workspace(tmp_path)


def write_mask(path, labels, dtype=np.uint8):
    Image.fromarray(np.asarray(labels, dtype)).save(path)


def columns(*labels):
    return np.tile(np.array(labels), (40, 48 // len(labels)))


def faults(capsys, *arguments):
    """Returns what is printed about a data set with faults."""
    with pytest.raises(SystemExit) as end:
        check_dataset(['tiny.py', *arguments])
    assert end.value.code == 1
    return capsys.readouterr().out


def test_good_data(workspace, capsys):
    for index in range(4):
        write_mask(f'data/annotations/train/{index}.png', columns(0, 1, 1, 2))
    check_dataset(['tiny.py'])
    printed = capsys.readouterr().out
    assert 'train: train_dataloader.dataset\n4 pairs' in printed
    assert 'val, test: val_dataloader.dataset\n2 pairs' in printed
    (wall,) = [line for line in printed.splitlines() if 'wall' in line and '3,840' in line]
    assert '50.00%' in wall and wall.rstrip('│ ').endswith('4')
    assert 'error' not in printed and 'no fault' in printed


def test_damaged_files(workspace, capsys):
    image = Path('data/images/train/0.png')
    image.write_bytes(image.read_bytes()[:-40])
    Path('data/annotations/train/1.png').write_bytes(b'not an image')
    Path('data/annotations/train/2.png').unlink()
    Path('data/images/train/3.png').write_bytes(b'')
    printed = faults(capsys, '--splits', 'train')
    assert '2 images that cannot be read' in printed
    assert 'data/images/train/0.png cannot be read as an image: it is damaged' in printed
    assert 'data/images/train/3.png cannot be read as an image: it is empty' in printed
    assert '1 masks that cannot be read\n    data/annotations/train/1.png: ' in printed
    assert '1 images without a mask\n    data/images/train/2.png: ' in printed
    assert '4 faults' in printed and 'val_dataloader' not in printed


def test_a_truncated_photograph(workspace, capsys):
    """OpenCV before 5 fills up the rest, so that training would not notice."""
    options = ['--cfg-options', f'{KEY}.img_suffix=.jpg']
    for path in Path('data/images/train').iterdir():
        pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(path.with_suffix('.jpg'))
    check_dataset(['tiny.py', *options, '--splits', 'train'])
    damaged = Path('data/images/train/2.jpg')
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    assert 'data/images/train/2.jpg cannot be read as an image' in faults(
        capsys, '--splits', 'train', *options
    )


def test_sizes_that_differ(workspace, capsys):
    write_mask('data/annotations/train/1.png', np.zeros((48, 40)))
    printed = faults(capsys)
    assert (
        '1 masks of another size than their image\n'
        '    data/annotations/train/1.png has 48x40 pixels, data/images/train/1.png 40x48\n'
    ) in printed


def test_photographs_that_are_rotated_by_their_exif_data(workspace, capsys):
    """Training turns the photograph and leaves its mask."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open('data/images/train/1.png')
    image.save('data/images/train/1.png', exif=exif)
    assert 'data/images/train/1.png 48x40, after the rotation' in faults(capsys)


def test_labels_outside_the_classes(workspace, capsys):
    write_mask('data/annotations/train/1.png', columns(0, 1, 7, 9))
    printed = faults(capsys)
    assert (
        '1 masks with labels outside the classes\n    data/annotations/train/1.png has 7, 9'
    ) in printed
    assert '3 classes allow 0-2, and 255 for ignored pixels' in printed
    assert '(no class)' in printed and '(ignored)' in printed


def test_one_bad_mask_among_many_is_found(workspace, capsys):
    """The check before training reads a sample only."""
    for index in range(4, 60):
        for folder in ('images', 'annotations'):
            shutil.copy(f'data/{folder}/train/0.png', f'data/{folder}/train/{index:02}.png')
    write_mask('data/annotations/train/41.png', columns(0, 1, 2, 3))
    assert 'data/annotations/train/41.png has 3' in faults(capsys)
    check_dataset(['tiny.py', '--samples', '2'])
    assert '2 pairs of image and mask' in capsys.readouterr().out


@pytest.mark.parametrize(
    'labels, settings, hint',
    [
        ((1, 2, 3), [], 'set reduce_zero_label=True'),
        ((0, 255), [], 'write 1 instead of 255'),
        ((0, 1, 2, 200), [], 'write 255 instead of it into the masks'),
        ((0, 1, 2, 255), ['model.decode_head.ignore_index=9'], 'set ignore_index=255'),
        ((0, 1, 2, 3), [], 'if 3 marks pixels without a label'),
    ],
)
def test_settings_that_are_suggested(workspace, capsys, labels, settings, hint):
    for index in range(4):
        write_mask(f'data/annotations/train/{index}.png', columns(*labels))
    options = ['--cfg-options', *settings] if settings else []
    assert hint in faults(capsys, '--splits', 'train', *options)


def test_a_zero_label_that_is_reduced_by_mistake(workspace, capsys):
    for index in range(4):
        write_mask(f'data/annotations/train/{index}.png', columns(0, 1, 2, 2))
    options = ['--cfg-options', f'{KEY}.reduce_zero_label=True']
    check_dataset(['tiny.py', '--splits', 'train', *options])
    printed = capsys.readouterr().out
    assert 'leaves the last class without a pixel: set it to False' in printed
    options.append(f'{KEY}.pipeline.1.reduce_zero_label=False')
    assert 'leave it out of LoadAnnotations' in faults(capsys, '--splits', 'train', *options)


def test_masks_that_hold_no_class_ids(workspace, capsys):
    write_mask('data/annotations/train/0.png', np.zeros((40, 48, 3)))
    write_mask('data/annotations/train/1.png', columns(0, 300), np.uint16)
    printed = faults(capsys)
    assert 'data/annotations/train/0.png has 3 channels' in printed
    assert 'data/annotations/train/1.png has 300' in printed


def test_masks_of_floating_point_numbers(workspace, capsys):
    for index, labels in enumerate([columns(0, 2), columns(0, 2) + 0.5]):
        Image.fromarray(labels.astype(np.float32)).save(f'data/annotations/train/{index}.tif')
        Path(f'data/annotations/train/{index}.png').unlink()
        Path(f'data/annotations/train/{index}.tif').rename(f'data/annotations/train/{index}.png')
    printed = faults(capsys)
    assert '0.png holds' not in printed
    assert '1.png holds numbers that are not whole, as float32' in printed


def test_what_does_not_stop_training(workspace, capsys):
    Path('data/images/train/3.png').unlink()
    for index in range(3):
        write_mask(f'data/annotations/train/{index}.png', columns(0, 1))
    check_dataset(['tiny.py'])
    printed = capsys.readouterr().out
    assert 'note: no pixel of 1 of 3 classes: sky' in printed
    assert 'note: 1 masks have no image, for example data/annotations/train/3.png' in printed


def test_images_for_a_test_server_have_no_masks(workspace, capsys):
    no_masks = 'pipeline=[dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]'
    config = Path('tiny.py').read_text()
    Path('tiny.py').write_text(
        f'{config}\ntest_dataloader = dict(dataset=dict(dataset, {no_masks}))\n'
    )
    check_dataset(['tiny.py'])
    assert 'test: test_dataloader.dataset\nnote: it has no masks' in capsys.readouterr().out


def test_every_data_set_is_checked_when_the_first_is_missing(workspace, capsys):
    shutil.rmtree('data/images/train')
    shutil.rmtree('data/annotations/val')
    printed = faults(capsys)
    assert 'error: the image folder data/images/train' in printed
    assert 'error: the mask folder data/annotations/val' in printed
    assert '2 faults' in printed


def test_more_classes_than_the_head_has(workspace, capsys):
    printed = faults(capsys, '--cfg-options', 'model.decode_head.num_classes=2')
    assert 'has 3 classes, but model.decode_head tells 2 apart' in printed


def test_mistakes_in_the_command(workspace):
    assert 'does not exist' in sentence(check_dataset, ['nowhere.py'])
    Path('mine.py').write_text('model = dict(type="EncoderDecoder")')
    assert 'has no data set' in sentence(check_dataset, ['mine.py'])
    for wrong in (['--samples', '0'], ['--cfg-options', 'model']):
        with pytest.raises(SystemExit) as end:
            check_dataset(['tiny.py', *wrong])
        assert end.value.code == 2


@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_labels_are_those_that_training_sees(tmp_path, reduce_zero_label):
    """As MMSegmentation's own transform has them, for all 256 of them."""
    for folder in ('images', 'masks'):
        (tmp_path / folder).mkdir()
        mask = np.arange(256).reshape(16, 16)
        write_mask(tmp_path / folder / 'a.png', mask)
    dataset = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        img_suffix='.png',
        metainfo=dict(classes=('a', 'b')),
        reduce_zero_label=reduce_zero_label,
        pipeline=[dict(type='LoadAnnotations')],
    )
    scanner = DatasetScanner(dataset, KEY, 2, {255})
    scanner.dataset.label_map = {3: 0, 7: 255}
    info = BaseSegDataset(**{k: v for k, v in dataset.items() if k not in ('type', 'pipeline')})
    sample = dict(info.get_data_info(0), label_map=scanner.dataset.label_map)
    expected = LoadAnnotations()(sample)['gt_seg_map'].ravel().tolist()
    assert [scanner._trained_label(label) for label in range(256)] == expected
