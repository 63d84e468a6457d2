"""Masks of more than 256 classes are trained on and evaluated as they are."""

import numpy as np
import pytest
import torch
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS, TRANSFORMS
from PIL import Image
from tiny_run import command, forget_visualizers, sentence

from segheads.configs.loading import load_config

CLASSES = [f'c{index}' for index in range(300)]


@DATASETS.register_module()
class ManyClasses(BaseSegDataset):
    """Data of 300 classes. In a config, MMEngine would take seconds to print their names."""

    METAINFO = dict(classes=CLASSES)


def load(folder, mask, reduce_zero_label=False, label_map=None, **settings):
    path = folder / 'mask.tif'
    Image.fromarray(mask).save(path)
    results = dict(
        seg_map_path=str(path),
        seg_fields=[],
        reduce_zero_label=reduce_zero_label,
        label_map=label_map,
    )
    return LoadAnnotations(**settings)(results)['gt_seg_map']


def test_labels_above_255_stay(tmp_path):
    mask = np.array([[0, 255, 256, 299, 65535]], np.uint16)
    labels = load(tmp_path, mask)
    assert labels.dtype == np.uint16 and labels.tolist() == mask.tolist()
    assert load(tmp_path, mask.astype(np.int32)).tolist() == mask.tolist()
    assert load(tmp_path, mask.astype(np.float32)).tolist() == mask.tolist()
    assert load(tmp_path, mask, imdecode_backend='cv2').tolist() == mask.tolist()


def test_the_zero_label_is_reduced_into_what_is_ignored(tmp_path):
    narrow = np.array([[0, 1, 254, 255]], np.uint16)
    assert load(tmp_path, narrow, True).tolist() == [[255, 0, 253, 255]]
    wide = np.array([[0, 1, 255, 256, 65535]], np.uint16)
    assert load(tmp_path, wide, True).tolist() == [[65535, 0, 254, 255, 65535]]


def test_classes_are_selected(tmp_path):
    mask = np.array([[0, 1, 256, 299]], np.uint16)
    labels = load(tmp_path, mask, label_map={0: 1, 1: 0, 256: 2, 299: 255})
    assert labels.tolist() == [[1, 0, 2, 255]]


@pytest.mark.parametrize('value', [-1, 65536])
def test_other_values_are_refused(tmp_path, value):
    told = sentence(load, tmp_path, np.array([[0, value]], np.int32))
    assert 'mask.tif holds' in told and 'whole numbers from 0 to 65535' in told
    assert 'not whole' in sentence(load, tmp_path, np.array([[0.5]], np.float32))


def test_one_setting_of_reduce_zero_label(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / 'mask.png')
    with pytest.warns(UserWarning, match='reduce_zero_label'):
        transform = LoadAnnotations(reduce_zero_label=False)
    info = dict(seg_map_path=str(tmp_path / 'mask.png'), seg_fields=[], reduce_zero_label=True)
    told = sentence(transform, info)
    assert 'is True for the data set and False in LoadAnnotations' in told


def test_a_config_that_names_the_class_itself():
    assert TRANSFORMS.build(dict(type=LoadAnnotations))._load_seg_map.__module__ == (
        'segheads.datasets.wide_labels'
    )


@pytest.fixture
def many_classes(workspace):
    """The tiny workspace with 300 classes in masks of 16 bits."""
    for index, path in enumerate(sorted(workspace.glob('data/annotations/*/*.png'))):
        mask = (np.arange(40 * 48).reshape(40, 48) + 100 * index) % 300
        mask[:2] = 65535
        Image.fromarray(mask.astype(np.uint16)).save(path)
    text = (workspace / 'tiny.py').read_text()
    start, end = text.index("type='BaseSegDataset'"), text.index('train_dataloader')
    files = "data_root='data', img_suffix='.png', seg_map_suffix='.png'"
    text = text[:start] + f"type='ManyClasses', {files})\n" + text[end:]
    text = text.replace('num_classes=3', 'num_classes=300, ignore_index=65535')
    text = text.replace("type='IoUMetric'", "type='IoUMetric', ignore_index=65535")
    (workspace / 'tiny.py').write_text(text.replace('seg_pad_val=255', 'seg_pad_val=65535'))
    return workspace


def test_a_whole_run(many_classes, capsys):
    command('check')(['tiny.py'])
    assert 'no fault' in capsys.readouterr().out
    command('train')(['tiny.py', '--cfg-options', 'model.backbone.init_cfg=None'])
    cfg = load_config('tiny.py')
    sample = DATASETS.build(cfg.val_dataloader.dataset)[0]
    labels = sample['data_samples'].gt_sem_seg.data
    assert set(labels.unique().tolist()) == {*range(300), 65535}

    # A model that always finds class 299: its maps need 16 bits.
    content = torch.load('work_dirs/tiny/iter_2.pth', weights_only=False)
    content['state_dict']['decode_head.conv_seg.bias'][299] = 1e6
    torch.save(content, 'certain.pth')
    forget_visualizers()
    command('test')(['tiny.py', 'certain.pth', '--out', 'maps'])
    with Image.open('maps/0.png') as image:
        assert set(np.unique(np.asarray(image))) == {299}


@pytest.mark.parametrize('reduce_zero_label', [False, True])
def test_class_maps_of_the_metric(tmp_path, reduce_zero_label):
    """As test servers take them, MMSegmentation's own way of writing them."""
    metric = IoUMetric(output_dir=str(tmp_path), format_only=True)
    metric.dataset_meta = dict(classes=CLASSES)
    predicted = torch.tensor([[[0, 255, 256, 299]]])
    sample = dict(
        img_path='a/b.png',
        reduce_zero_label=reduce_zero_label,
        pred_sem_seg=dict(data=predicted),
    )
    metric.process({}, [sample])
    with Image.open(tmp_path / 'b.png') as image:
        written = np.asarray(image)
    assert written.tolist() == (predicted[0] + reduce_zero_label).tolist()


def test_class_maps_of_few_classes_have_8_bits(tmp_path):
    metric = IoUMetric(output_dir=str(tmp_path), format_only=True)
    metric.dataset_meta = dict(classes=CLASSES[:255])
    sample = dict(img_path='b.png', pred_sem_seg=dict(data=torch.tensor([[[0, 254]]])))
    metric.process({}, [sample])
    with Image.open(tmp_path / 'b.png') as image:
        assert np.asarray(image).dtype == np.uint8
