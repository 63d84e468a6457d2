"""What a test writes: each prediction once, in a place of its own, with or without masks."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import FROM_SCRATCH, command, forget_visualizers, write_workspace

CHECKPOINT = 'work_dirs/tiny/iter_2.pth'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = write_workspace(tmp_path_factory.mktemp('trained'))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        command('train')(['tiny.py', *FROM_SCRATCH])
    forget_visualizers()
    return folder


@pytest.fixture
def workspace(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / 'copy')
    monkeypatch.chdir(tmp_path / 'copy')
    yield tmp_path / 'copy'
    forget_visualizers()


def run_test(*arguments: str) -> None:
    command('test')(['tiny.py', CHECKPOINT, '--out', 'maps', '--show-dir', 'overlays', *arguments])


def files(folder: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob('*.png'))


def test_equal_names_in_two_folders_do_not_meet(workspace):
    for kind in ('images', 'annotations'):
        for index, flight in enumerate(('a', 'b')):
            folder = Path('data', kind, 'val', flight)
            folder.mkdir()
            (folder.parent / f'{index}.png').rename(folder / 'frame.png')
    run_test()
    assert files('maps') == files('overlays') == ['a/frame.png', 'b/frame.png']
    first, second = (np.array(Image.open(f'maps/{name}/frame.png')) for name in 'ab')
    assert first.shape == second.shape == (40, 48) and first.max() < 3


def test_overlays_show_the_ground_truth_beside_the_prediction(workspace):
    run_test()
    picture = Image.open('overlays/0.png')
    assert picture.width >= 2 * 48 and picture.height > 40


@pytest.mark.parametrize('absence', ['folder', 'files', 'prefix', 'pipeline'])
def test_without_masks_class_maps_are_written_and_no_metrics(workspace, absence, capsys):
    options = []
    if absence == 'folder':
        shutil.rmtree('data/annotations/val')
    elif absence == 'files':
        for mask in Path('data/annotations/val').iterdir():
            mask.unlink()
    elif absence == 'prefix':
        options = ['--cfg-options', 'test_dataloader.dataset.data_prefix.seg_map_path=']
    else:
        text = Path('tiny.py').read_text()
        line = 'test_dataloader = val_dataloader\n'
        pipeline = "[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]"
        change = (
            f'{line}test_dataloader = dict(val_dataloader, dataset=dict('
            f"val_dataloader['dataset'], pipeline={pipeline}))\n"
        )
        Path('tiny.py').write_text(text.replace(line, change))
    run_test(*options)
    assert files('maps') == files('overlays') == ['0.png', '1.png']
    printed = capsys.readouterr().out
    assert 'There are no masks to compare with' in printed and 'no metrics' in printed
    (log,) = Path('work_dirs/tiny').glob('2*/2*.json') if absence else ()
    assert 'mIoU' not in json.loads(log.read_text().splitlines()[-1])


def test_with_augmentation_and_without_masks(workspace):
    shutil.rmtree('data/annotations/val')
    run_test('--tta')
    assert files('maps') == ['0.png', '1.png']


def test_class_maps_keep_the_numbers_of_the_data_set(workspace):
    run_test()
    plain = np.array(Image.open('maps/0.png'))
    text = Path('tiny.py').read_text()
    Path('tiny.py').write_text(text.replace('metainfo=', 'reduce_zero_label=True, metainfo='))
    for mask in Path('data/annotations/val').iterdir():
        labels = np.array(Image.open(mask))
        Image.fromarray(np.where(labels == 255, 0, labels + 1).astype(np.uint8)).save(mask)
    forget_visualizers()
    run_test()
    assert np.array_equal(np.array(Image.open('maps/0.png')), plain + 1)


def test_a_test_needs_no_data_of_the_training(workspace):
    shutil.rmtree('data/images/train')
    shutil.rmtree('data/annotations/train')
    run_test()
    assert files('maps') == ['0.png', '1.png']


def test_images_that_differ_in_the_suffix_only(workspace):
    text = Path('tiny.py').read_text()
    Path('tiny.py').write_text(text.replace("img_suffix='.png'", "img_suffix=''"))
    Image.open('data/images/val/1.png').save('data/images/val/0.bmp')
    Path('data/images/val/1.png').unlink()
    shutil.rmtree('data/annotations/val')
    run_test()
    assert files('maps') == ['0.bmp.png', '0.png.png']
