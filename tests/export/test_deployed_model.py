import pytest
import torch
from exported_models import FCN, build_segmentor
from mmengine.config import Config
from mmseg.models import SegDataPreProcessor
from test_any_encoder import HEADS

from segheads.export.deployed_model import DeployedModel


@pytest.mark.parametrize('head', [FCN, HEADS['CCSNet']], ids=['FCN', 'CCSNet'])
def test_computes_what_the_segmentor_predicts(head: object) -> None:
    segmentor = build_segmentor(head)
    segmentor.test_cfg.keep_logits = True
    image = torch.randn(2, 3, 65, 90)
    with torch.no_grad():
        predicted = segmentor.predict(image)
        logits = DeployedModel(segmentor)(image)
        classes = DeployedModel(segmentor, with_argmax=True)(image)
    for i, sample in enumerate(predicted):
        torch.testing.assert_close(logits[i], sample.seg_logits.data)
        assert torch.equal(classes[i], sample.pred_sem_seg.data[0])


def test_preprocesses_as_the_segmentor() -> None:
    segmentor = build_segmentor()
    model = DeployedModel(segmentor, with_preprocessing=True)
    image = model.example(2, 65, 90)
    assert image.dtype == torch.uint8
    inputs = segmentor.data_preprocessor(dict(inputs=list(image)))['inputs']
    assert not torch.equal(inputs, image.float())
    with torch.no_grad():
        torch.testing.assert_close(model(image), DeployedModel(segmentor)(inputs))


@pytest.mark.parametrize('colours', ['color', 'unchanged'])
def test_takes_the_values_that_the_config_loads(colours: str) -> None:
    segmentor = build_segmentor()
    loader = dict(type='LoadImageFromFile', color_type=colours, to_float32=True)
    segmentor.cfg = Config(dict(test_pipeline=[loader]))
    image = DeployedModel(segmentor, with_preprocessing=True).example(1, 65, 90)
    assert image.dtype == (torch.uint8 if colours == 'color' else torch.float32)
    inputs = segmentor.data_preprocessor(dict(inputs=list(image)))['inputs']
    assert inputs.abs().max() < 10
    expected = DeployedModel(segmentor)(inputs)
    torch.testing.assert_close(DeployedModel(segmentor, True)(image), expected)


@pytest.mark.parametrize('channels', [1, 4])
def test_takes_other_numbers_of_channels(channels: int) -> None:
    segmentor = build_segmentor()
    segmentor.backbone.stages[0] = torch.nn.Conv2d(channels, 8, 7, 4, 3)
    values = [100.0] * channels
    segmentor.data_preprocessor = SegDataPreProcessor(values, values, bgr_to_rgb=True)
    model = DeployedModel(segmentor, with_preprocessing=True)
    image = model.example(1, 65, 90)
    assert image.shape[1] == channels
    inputs = segmentor.data_preprocessor(dict(inputs=list(image)))['inputs']
    torch.testing.assert_close(model(image), DeployedModel(segmentor)(inputs))


def test_thresholds_a_single_class() -> None:
    segmentor = build_segmentor(dict(FCN, num_classes=2, out_channels=1, threshold=0.4))
    image = torch.randn(1, 3, 65, 90)
    probability = DeployedModel(segmentor)(image).sigmoid()
    segmentor.decode_head.threshold = probability.median().item()
    classes = DeployedModel(segmentor, with_argmax=True)(image)
    assert set(classes.unique().tolist()) == {0, 1}
    assert torch.equal(classes[0], segmentor.predict(image)[0].pred_sem_seg.data[0].long())


def test_needs_no_synchronised_batch_norm() -> None:
    segmentor = build_segmentor(dict(FCN, norm_cfg=dict(type='SyncBN')))
    model = DeployedModel(segmentor)
    assert not any(isinstance(m, torch.nn.SyncBatchNorm) for m in model.modules())
    assert not any(m.training for m in model.modules())
