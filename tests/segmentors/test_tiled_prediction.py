"""The lean segmentors predict the class maps of MMSegmentation's."""

import copy
import pickle
import re

import pytest
import torch
from largest_tensor import LargestTensor
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.configs.windows import check_windows
from segheads.layers import tiled_resize
from segheads.layers.resized_side import resize_weights
from segheads.mistakes import UserMistake
from segheads.segmentors.tiled_prediction import class_map

WHOLE = dict(mode='whole')
SLIDE = dict(mode='slide', crop_size=(32, 48), stride=(21, 24))
BORDERS = dict(mode='slide', crop_size=(200, 30), stride=(200, 30))


class Image(nn.Module):
    """A backbone that passes the image on."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


class Patches(BaseDecodeHead):
    """A head that sees patches of 4x4 pixels."""

    def __init__(self, in_channels: int = 3, **kwargs: object) -> None:
        super().__init__(in_channels, 3, in_index=0, dropout_ratio=0, **kwargs)
        self.patches = nn.Conv2d(3, 3, 4, stride=4, padding=2)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return self.cls_seg(self.patches(inputs[0]))


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiled_resize, 'CPU_TILE_VALUES', 2048)


def build(
    segmentor: str, test_cfg: dict, dtype: torch.dtype = torch.float64, **head: object
) -> nn.Module:
    torch.manual_seed(0)
    init_default_scope('mmseg')
    model = MODELS.build(
        dict(
            type=segmentor,
            backbone=dict(type=Image),
            decode_head=dict(type=Patches, **(dict(num_classes=5) | head)),
            train_cfg=ConfigDict(),
            test_cfg=ConfigDict(test_cfg),
        )
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model.to(dtype).eval()


def both(test_cfg: dict, **arguments: object) -> tuple[nn.Module, nn.Module]:
    return tuple(
        build(segmentor, test_cfg, **arguments)
        for segmentor in ('LeanEncoderDecoder', 'EncoderDecoder')
    )


def images(batch: int, height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 3, height, width, dtype=dtype, generator=generator)


def samples(batch: int, **metainfo: object) -> list[SegDataSample]:
    return [SegDataSample(metainfo=metainfo) for _ in range(batch)]


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor, **metainfo: object) -> list[SegDataSample]:
    size = tuple(inputs.shape[2:])
    settings = dict(img_shape=size, pad_shape=size, ori_shape=size) | metainfo
    return model.predict(inputs, samples(len(inputs), **settings))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('test_cfg', [WHOLE, SLIDE, BORDERS], ids=['whole', 'slide', 'borders'])
@pytest.mark.parametrize(
    'metainfo',
    [
        dict(),
        dict(ori_shape=(91, 130)),
        dict(ori_shape=(33, 40), img_padding_size=[0, 5, 0, 11]),
        dict(padding_size=[1, 2, 3, 4], ori_shape=(61, 73)),
        dict(flip=True, flip_direction='horizontal', ori_shape=(91, 130)),
        dict(flip=True, flip_direction='vertical', img_padding_size=[2, 5, 3, 11]),
    ],
    ids=['plain', 'resized', 'padded', 'padded-all-around', 'flipped', 'flipped-and-padded'],
)
def test_same_class_maps(metainfo: dict, test_cfg: dict, align_corners: bool) -> None:
    lean, plain = both(test_cfg, align_corners=align_corners)
    (actual,), (expected,) = (predict(m, images(1, 68, 80), **metainfo) for m in (lean, plain))
    assert len(expected.pred_sem_seg.data.unique()) == 5
    assert actual.pred_sem_seg.data.dtype == expected.pred_sem_seg.data.dtype
    assert torch.equal(actual.pred_sem_seg.data, expected.pred_sem_seg.data)
    assert 'seg_logits' not in actual
    # Computed now.
    torch.testing.assert_close(actual.seg_logits.data, expected.seg_logits.data)
    assert 'seg_logits' not in actual and 'seg_logits' not in actual.to_dict()


def test_logits_on_demand_are_computed_once_and_survive_copies() -> None:
    lean, _ = both(WHOLE)
    (result,) = predict(lean, images(1, 68, 80))
    shared = [pickle.loads(pickle.dumps(result)), copy.deepcopy(result)]
    logits = result.seg_logits.data
    assert logits is result.seg_logits.data and result.seg_logits.shape == (68, 80)
    assert logits.softmax(0).sum(0).allclose(logits.new_ones(68, 80))
    for other in shared:
        assert torch.equal(other.seg_logits.data, logits)
    result.seg_logits = PixelData(data=logits + 1)
    assert torch.equal(result.seg_logits.data, logits + 1) and 'seg_logits' in result


@pytest.mark.parametrize('test_cfg', [WHOLE, SLIDE], ids=['whole', 'slide'])
def test_same_in_single_precision_but_for_ties(test_cfg: dict) -> None:
    lean, plain = both(test_cfg, dtype=torch.float32)
    inputs = images(1, 131, 150, torch.float32)
    (actual,), (expected,) = (predict(m, inputs, ori_shape=(263, 299)) for m in (lean, plain))
    best, second = expected.seg_logits.data.topk(2, dim=0).values
    decided = best - second > 1e-4
    assert decided.float().mean() > 0.99
    classes, expected_classes = (x.pred_sem_seg.data[0][decided] for x in (actual, expected))
    assert torch.equal(classes, expected_classes)


def test_resizes_in_full_precision_under_autocast() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 8, 9, generator=generator)
    weights = [torch.rand(cells, 40, generator=generator) for cells in (8, 9)]
    expected = class_map(logits, *weights)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(class_map(logits, *weights), expected)


@pytest.mark.parametrize('test_cfg', [WHOLE, SLIDE], ids=['whole', 'slide'])
def test_images_of_a_batch_have_their_own_sizes(test_cfg: dict) -> None:
    models = both(test_cfg)
    inputs = images(2, 68, 80)
    results = []
    for model in models:
        first, second = samples(2, img_shape=(68, 80), pad_shape=(68, 80), ori_shape=(40, 55))
        second.set_metainfo(dict(ori_shape=(99, 44), img_padding_size=[0, 9, 0, 1]))
        with torch.no_grad():
            results.append(model.predict(inputs, [first, second]))
    for actual, expected in zip(*results, strict=True):
        assert torch.equal(actual.pred_sem_seg.data, expected.pred_sem_seg.data)


@pytest.mark.parametrize('test_cfg', [WHOLE, SLIDE], ids=['whole', 'slide'])
def test_every_implementation_predicts_the_same(test_cfg: dict) -> None:
    results = [
        predict(
            build('LeanEncoderDecoder', test_cfg | dict(implementation=name)), images(1, 68, 80)
        )
        for name in ('auto', 'full', 'tiles')
    ]
    for (result,) in results[1:]:
        assert torch.equal(result.pred_sem_seg.data, results[0][0].pred_sem_seg.data)


@pytest.mark.parametrize('test_cfg', [WHOLE, SLIDE], ids=['whole', 'slide'])
def test_images_without_metainfo(test_cfg: dict) -> None:
    lean, plain = both(test_cfg)
    with torch.no_grad():
        results = [model.predict(images(2, 68, 80)) for model in (lean, plain)]
    for actual, expected in zip(*results, strict=True):
        assert torch.equal(actual.pred_sem_seg.data, expected.pred_sem_seg.data)


@pytest.mark.parametrize('head', [dict(), dict(num_classes=2, out_channels=1, threshold=0.4)])
def test_logits_where_they_are_needed(head: dict) -> None:
    keep = dict() if head else dict(keep_logits=True)
    lean, plain = both(WHOLE | keep, **head)
    (actual,), (expected,) = (
        predict(m, images(1, 68, 80), ori_shape=(50, 60)) for m in (lean, plain)
    )
    assert torch.equal(actual.seg_logits.data, expected.seg_logits.data)
    assert torch.equal(actual.pred_sem_seg.data, expected.pred_sem_seg.data)


def test_test_time_augmentation() -> None:
    inputs = images(1, 68, 80)
    merged = []
    for segmentor in both(WHOLE):
        model = MODELS.build(dict(type='SegTTAModel', module=segmentor))
        plain, flipped = (
            predict(
                segmentor,
                inputs.flip(3) if flip else inputs,
                flip=flip,
                flip_direction='horizontal',
                img_path='street.png',
            )
            for flip in (False, True)
        )
        (result,) = model.merge_preds([[plain[0], flipped[0]]])
        merged.append(result.pred_sem_seg.data)
    assert torch.equal(*merged)


@pytest.mark.parametrize(
    'test_cfg', [WHOLE, dict(mode='slide', crop_size=(128, 128), stride=(96, 96))]
)
def test_never_makes_logits_of_the_image(test_cfg: dict) -> None:
    values = 40 * 128 * 256
    inputs = images(1, 128, 256, torch.float32)
    largest = {}
    for model in both(test_cfg, dtype=torch.float32, num_classes=40):
        with LargestTensor() as watcher:
            predict(model, inputs)
        largest[type(model).__name__] = watcher.values
    assert largest['EncoderDecoder'] >= values
    assert largest['LeanEncoderDecoder'] < values / 4


def test_explains_mistakes() -> None:
    model = build('LeanEncoderDecoder', dict(mode='crop'))
    with pytest.raises(ValueError, match="mode must be 'whole' or 'slide', but is 'crop'"):
        predict(model, images(1, 68, 80))
    model = build('LeanEncoderDecoder', WHOLE | dict(implementation='kernal'))
    with pytest.raises(ValueError, match="test_cfg: implementation is 'kernal'.* mean kernel"):
        predict(model, images(1, 68, 80))
    model = build('LeanEncoderDecoder', WHOLE)
    with pytest.raises(ValueError, match="'horizontal' or 'vertical', but it is 'diagonal'"):
        predict(model, images(1, 68, 80), flip=True, flip_direction='diagonal')


@pytest.mark.parametrize('bad', [float('inf'), float('-inf'), float('nan')])
@pytest.mark.parametrize(
    'places', [[(3, 10, 10)], [(3, 0, 0), (1, 15, 15)], [(2, 4, 4), (2, 5, 4)]]
)
def test_what_is_not_finite_changes_the_pixels_that_it_reaches(bad, places):
    torch.manual_seed(0)
    logits = torch.randn(5, 16, 16)
    for place in places:
        logits[place] = bad
    rows, columns = (resize_weights(torch.eye(16), extent, False) for extent in (70, 41))
    expected = F.interpolate(logits[None], (70, 41), mode='bilinear').argmax(1)
    # Where a weight is 0 PyTorch multiplies it with what is not finite, at the border only.
    assert (class_map(logits, rows, columns) != expected).sum() <= 4


def test_infinities_of_both_signs_are_no_number():
    logits = torch.zeros(2, 2, 2)
    logits[1, 0, 0], logits[1, 0, 1] = float('inf'), float('-inf')
    weights = resize_weights(torch.eye(2), 8, True)
    expected = F.interpolate(logits[None], (8, 8), mode='bilinear', align_corners=True).argmax(1)
    assert torch.equal(class_map(logits, weights, weights)[0, :, 1:-1], expected[0, :, 1:-1])


@pytest.mark.parametrize(
    'settings, told',
    [
        (dict(crop_size=(64, 64), stride=(96, 64)), 'leave gaps between them'),
        (dict(crop_size=(64, 64)), 'needs stride=(height, width)'),
        (dict(crop_size=64, stride=(32, 32)), 'needs crop_size=(height, width)'),
        (dict(crop_size=(64, 64), stride=(0, 32)), 'needs stride=(height, width)'),
    ],
)
def test_windows_that_cannot_cover_an_image(settings, told):
    with pytest.raises(UserMistake, match=re.escape(told)):
        check_windows(dict(mode='slide', **settings))
    check_windows(dict(mode='whole', **settings))
    check_windows(dict(mode='slide', crop_size=(64, 64), stride=(64, 1)))
