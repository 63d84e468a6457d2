"""Files that cannot be read: told by one sentence wherever they are read, or left out."""

from pathlib import Path

import mmcv.transforms
import pytest
from mmengine.dataset import pseudo_collate
from mmseg.registry import DATASETS, TRANSFORMS
from PIL import Image
from tiny_run import sentence
from torch.utils.data import DataLoader

from segheads.configs.preflight import check_data
from segheads.data import damage
from segheads.data.damage import find_loaders, skip_damaged_samples
from segheads.mistakes import UserMistake, sentence_for

IMAGE, MASK = 'data/images/train/2.png', 'data/annotations/train/2.png'


@pytest.fixture
def dataset(cfg):
    return cfg.train_dataloader.dataset


def told(call):
    """Returns what a command would say about an error."""
    with pytest.raises(Exception) as error:
        call()
    text = sentence_for(error.value)
    assert text is not None and '\n' not in text
    return text


@pytest.mark.parametrize('path, kind', [(IMAGE, 'image'), (MASK, 'mask')])
@pytest.mark.parametrize('content', [b'', b'not an image', None])
def test_a_file_that_cannot_be_read_is_named(dataset, path, kind, content):
    built = DATASETS.build(dataset)
    if content is None:
        Path(path).unlink()
    else:
        Path(path).write_bytes(content)
    reason = 'it does not exist' if content is None else 'it is damaged, or no image'
    text = told(lambda: built[2])
    assert f'the {kind} {path} cannot be read ({reason})' in text and '--skip-damaged' in text
    assert built[1] is not None


def test_a_file_that_a_worker_cannot_read_is_named(dataset):
    Path(IMAGE).write_bytes(b'not an image')
    loader = DataLoader(DATASETS.build(dataset), num_workers=1, collate_fn=pseudo_collate)
    text = told(lambda: list(loader))
    assert text.startswith(f'the image {IMAGE} cannot be read')


def test_a_file_inside_of_a_test_time_augmentation_is_named(cfg, dataset):
    Path(MASK).write_bytes(b'not an image')
    dataset.pipeline = cfg.tta_pipeline
    assert f'the mask {MASK} cannot be read' in told(lambda: DATASETS.build(dataset)[2])


def test_an_error_of_another_transform_stays(dataset):
    @TRANSFORMS.register_module(force=True)
    class FailingTransform(mmcv.transforms.BaseTransform):
        def transform(self, results):
            raise RuntimeError('of another cause')

    dataset.pipeline = [*dataset.pipeline, dict(type='FailingTransform')]
    with pytest.raises(RuntimeError, match='of another cause'):
        DATASETS.build(dataset)[0]


def test_damaged_files_are_left_out_and_counted(cfg, dataset, caplog, monkeypatch):
    said = []
    monkeypatch.setattr(damage, 'tell', said.append)
    Path(IMAGE).write_bytes(b'not an image')
    Path('data/annotations/train/0.png').write_bytes(b'')
    Image.new('L', (3, 3)).save('data/annotations/train/1.png')
    skip_damaged_samples(cfg)
    check_data(cfg, ('train', 'val'))
    built = DATASETS.build(dataset)
    assert [built.get_data_info(i)['img_path'] for i in range(len(built))] == [
        'data/images/train/3.png'
    ]
    (text,) = said
    assert text.startswith('3 of 4 samples are damaged and left out') and IMAGE in text
    assert 'data/annotations/train/1.png has 3x3 pixels, and its image' in text
    Path('data/images/train/3.png').write_bytes(b'')
    assert 'all 4 samples are damaged' in sentence(DATASETS.build, dataset)


def test_processes_share_the_reading(cfg, dataset, monkeypatch):
    skip_damaged_samples(cfg)
    Path(IMAGE).write_bytes(b'not an image')
    read = []
    original = damage.damage_of

    def note(sample, pipeline):
        read.append(sample['img_path'])
        return original(sample, pipeline)

    monkeypatch.setattr(damage, 'damage_of', note)
    monkeypatch.setattr(damage, 'get_rank', lambda: 1)
    monkeypatch.setattr(damage, 'get_world_size', lambda: 2)
    monkeypatch.setattr(damage, 'all_gather_object', lambda own: [own, {0: None, 2: 'damaged'}])
    monkeypatch.setattr(damage, 'tell', lambda text: None)
    assert len(DATASETS.build(dataset)) == 3
    assert sorted(read) == ['data/images/train/1.png', 'data/images/train/3.png']


def test_a_rehearsal_reads_as_many_as_it_takes(cfg, dataset):
    """It takes the first samples only, by `indices`."""
    skip_damaged_samples(cfg)
    Path('data/images/train/0.png').write_bytes(b'not an image')
    built = DATASETS.build(dict(dataset, indices=2))
    names = [built.get_data_info(index)['img_path'] for index in range(len(built))]
    assert names == ['data/images/train/1.png', IMAGE]


def test_data_that_cannot_leave_samples_out(cfg):
    @DATASETS.register_module(force=True)
    class OwnDataset:
        pass

    cfg.train_dataloader.dataset = dict(type='OwnDataset')
    assert 'OwnDataset, which cannot leave' in sentence(skip_damaged_samples, cfg)


def test_the_sentence_of_a_worker_is_taken_out_of_its_traceback():
    text = (
        'Caught UserMistake in DataLoader worker process 0.\nOriginal Traceback (most recent call '
        'last):\n  File "x.py", line 1, in y\nsegheads.mistakes.UserMistake: what is: wrong\n'
    )
    assert sentence_for(UserMistake(text)) == 'what is: wrong'
    assert sentence_for(UserMistake('Caught between two')) == 'Caught between two'


def test_loaders_are_found_in_the_order_of_reading(cfg):
    pipeline = DATASETS.build(dict(cfg.train_dataloader.dataset, pipeline=cfg.tta_pipeline))
    assert list(find_loaders(pipeline.pipeline)) == ['image', 'mask']
