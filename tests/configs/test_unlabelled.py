"""Test sets without masks."""

import os
import shutil
from pathlib import Path

import pytest
from tiny_run import sentence

from segheads.configs.unlabelled import prepare_unlabelled_test, remove_mask_loaders
from segheads.data.checks import find_transform

NO_MASKS = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]


def test_masks_that_are_there_change_nothing(cfg):
    before = cfg.to_dict()
    assert prepare_unlabelled_test(cfg, writes=True) is None
    assert cfg.to_dict() == before


@pytest.mark.parametrize('absence', ['folder', 'files', 'prefix', 'no prefix', 'pipeline'])
def test_without_masks_nothing_reads_them(cfg, absence):
    dataset = cfg.test_dataloader.dataset
    if absence == 'folder':
        shutil.rmtree('data/annotations/val')
    elif absence == 'files':
        for mask in Path('data/annotations/val').iterdir():
            mask.unlink()
    elif absence == 'prefix':
        dataset.data_prefix.seg_map_path = ''
    elif absence == 'no prefix':
        del dataset.data_prefix['seg_map_path']
    else:
        dataset.pipeline = NO_MASKS
    told = sentence(prepare_unlabelled_test, cfg, writes=False)
    assert 'nothing can be measured' in told and '--out FOLDER' in told
    assert prepare_unlabelled_test(cfg, writes=True)
    assert cfg.test_evaluator == []
    assert find_transform(dataset.pipeline, 'LoadAnnotations') is None
    assert find_transform(cfg.tta_pipeline, 'LoadAnnotations') is None
    assert 'seg_map_path' not in dataset.data_prefix


def test_a_wrong_suffix_is_no_absence(cfg):
    """The check of the data says that masks and images do not fit together."""
    cfg.test_dataloader.dataset.seg_map_suffix = '_mask.png'
    assert prepare_unlabelled_test(cfg, writes=True) is None
    cfg.test_dataloader.dataset.seg_map_suffix = '.png'
    os.remove('data/annotations/val/0.png')
    assert prepare_unlabelled_test(cfg, writes=True) is None


def test_masks_beside_the_images(cfg):
    for mask in Path('data/annotations/val').iterdir():
        shutil.copy(mask, f'data/images/val/{mask.stem}_mask.bmp')
    cfg.test_dataloader.dataset.update(
        data_root='data/images/val',
        data_prefix=dict(img_path='', seg_map_path=''),
        seg_map_suffix='_mask.bmp',
    )
    assert prepare_unlabelled_test(cfg, writes=True) is None


def test_one_of_several_data_sets_without_masks(cfg):
    dataset = cfg.test_dataloader.dataset
    other = dict(dataset, data_prefix=dict(img_path='images/val', seg_map_path='nowhere'))
    cfg.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[dataset, other])
    assert 'data/nowhere' in prepare_unlabelled_test(cfg, writes=True)


def test_data_on_no_disk_has_masks(cfg):
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.test_dataloader.dataset = dict(type='SyntheticScenes', length=2, pipeline=pipeline)
    assert prepare_unlabelled_test(cfg, writes=True) is None


def test_evaluators_that_only_write(cfg):
    cfg.test_evaluator = dict(type='IoUMetric', format_only=True, output_dir='there')
    assert 'format_only=True' in prepare_unlabelled_test(cfg, writes=False)
    assert cfg.test_evaluator == [dict(type='IoUMetric', format_only=True, output_dir='there')]


def test_evaluators_that_write_nowhere(cfg):
    cfg.test_evaluator = dict(type='IoUMetric', format_only=True)
    assert 'format_only' in sentence(prepare_unlabelled_test, cfg, writes=False)


@pytest.mark.parametrize('written', ['LoadAnnotations', 'mmseg.LoadAnnotations'])
def test_mask_loaders_leave_a_pipeline_and_its_branches(written):
    load, pack = dict(type=written), dict(type='PackSegInputs')
    augmented = dict(type='TestTimeAug', transforms=[[load], [pack]])
    assert remove_mask_loaders([load, augmented]) == [dict(type='TestTimeAug', transforms=[[pack]])]
    assert augmented['transforms'] == [[load], [pack]]
