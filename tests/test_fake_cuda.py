"""What can be proved of a GPU without one: devices, waiting, precision, a gradient for all."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_cuda import (
    CudaWatch,
    autocast_on_cuda,
    backward,
    build_on_cuda,
    labels_on_cuda,
)
from head_cases import HEADS, HeadCase
from mmengine.config import Config, ConfigDict
from mmengine.optim import OptimWrapper, build_optim_wrapper
from test_configs import CONFIGS, LEAVES, drop_pretrained
from test_contract import arguments
from torch import Tensor, nn

pytest_plugins = ['fake_cuda']

aten = torch.ops.aten
SHIPPED = sorted(path.stem for path in (CONFIGS / '_base_/models').glob('*.py'))
WHOLE = dict(mode='whole')
SLIDE = dict(mode='slide', crop_size=(96, 96), stride=(64, 64))


def load_model(path: Path) -> ConfigDict:
    model = Config.fromfile(path).model
    drop_pretrained(model)
    return model


@pytest.mark.parametrize(
    ('wait', 'fault'),
    [
        (lambda x: x.sum().item(), '_local_scalar_dense.default needs values'),
        (lambda x: bool((x > 0).any()), '_local_scalar_dense.default needs values'),
        (lambda x: x[x > 0], 'index.Tensor needs values'),
        (lambda x: x[x.argmax()], '_local_scalar_dense.default needs values'),
        (lambda x: x.long().bincount(), 'bincount.default needs values'),
        (lambda x: x.repeat_interleave(x.long(), 0), 'repeat_interleave.Tensor needs values'),
        (lambda x: x.cpu(), '_to_copy.default on the CPU'),
        (lambda x: torch.tensor([1.0], device='cuda'), 'on the CPU'),
        (lambda x: torch.zeros(4).to('cuda', non_blocking=True), 'on the CPU'),
        (lambda x: x + torch.ones(()), 'on the CPU'),
    ],
)
def test_the_watch_finds_what_waits(fake_cuda, wait: Callable, fault: str) -> None:
    x = torch.rand(4, device='cuda')
    with CudaWatch() as watch:
        try:
            wait(x)
        except Exception as error:
            assert 'needs values' in fault, error
    assert any(fault in found for found in watch.faults), watch.faults


@pytest.mark.parametrize('name', SHIPPED)
def test_a_shipped_model_trains_and_predicts_without_waiting(
    fake_cuda, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    model = build_on_cuda(load_model(CONFIGS / f'_base_/models/{name}.py'))
    assert_on_cuda_with_synchronised_norms(model)
    optim_wrapper = build_optim_wrapper(
        model, dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4))
    )
    monkeypatch.setattr(OptimWrapper, 'backward', lambda _, loss: backward(loss))
    monkeypatch.setattr(OptimWrapper, 'zero_grad', lambda _: None)
    # The optimiser itself counts its steps on the CPU, where asking is no waiting.
    monkeypatch.setattr(optim_wrapper.optimizer, 'step', lambda: None)
    # Fake tensors remember what follows from a shape: windows are as large as training images.
    images = torch.randn(2, 3, 96, 160, device='cuda')
    samples = labels_on_cuda(2, 96, 160)
    with CudaWatch() as watch:
        loss, logs = model.parse_losses(model.train().loss(images, samples))
        optim_wrapper.update_params(loss)
    assert not watch.faults
    assert watch.copies == sum(key.endswith('acc_seg') for key in logs), 'one per look at labels'
    # No wrapper for several processes has to look for parameters without a gradient.
    assert all(
        parameter.grad is not None
        and parameter.grad.device == parameter.device == images.device
        and parameter.grad.shape == parameter.shape
        for parameter in model.parameters()
    )

    model.eval()
    for height, test_cfg in (
        (96, WHOLE),
        (128, dict(mode='slide', crop_size=(96, 160), stride=(64, 160))),
    ):
        model.test_cfg = ConfigDict(test_cfg)
        images = torch.randn(2, 3, height, 160, device='cuda')
        padded = dict(ori_shape=(91, 143), img_padding_size=[0, 5, 0, 11])
        with CudaWatch() as watch, torch.no_grad():
            results = model.predict(images, labels_on_cuda(2, height, 160, **padded))
        assert not watch.faults
        for result in results:
            assert result.pred_sem_seg.data.device == images.device
            assert result.pred_sem_seg.data.shape == (1, 91, 143)


def structure(model: ConfigDict) -> str:
    """Writes down a model without what makes no other network of it."""
    model = {key: value for key, value in model.items() if key != 'test_cfg'}
    return re.sub(r'"(num_classes|size)": [^a-z]*', '', json.dumps(model))


def test_every_shipped_config_builds_with_synchronised_norms(fake_cuda) -> None:
    models = {structure(model): model for model in (load_model(CONFIGS / path) for path in LEAVES)}
    for name in SHIPPED:  # they are built above
        models.pop(structure(load_model(CONFIGS / f'_base_/models/{name}.py')), None)
    assert len(models) < len(SHIPPED)
    for model in models.values():
        assert_on_cuda_with_synchronised_norms(build_on_cuda(model))


def assert_on_cuda_with_synchronised_norms(model: nn.Module) -> None:
    assert all(parameter.is_cuda for parameter in model.parameters())
    assert any(isinstance(layer, nn.SyncBatchNorm) for layer in model.modules())


@pytest.mark.parametrize('implementation', ['tiles', 'full', 'kernel'])
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    'loss_decode',
    [
        dict(type='OHEMCrossEntropyLoss', min_kept=100),
        dict(type='UpsampledCrossEntropyLoss', class_weight=[0.1, 1, 2, 1, 1]),
        dict(type='UpsampledCrossEntropyLoss', avg_non_ignore=True),
    ],
    ids=['hard', 'weighted', 'labelled'],
)
def test_no_implementation_of_a_loss_waits(
    fake_cuda, loss_decode: dict, align_corners: bool, implementation: str
) -> None:
    case = HEADS['pcaa-stages']
    head = build_on_cuda(
        dict(
            case.cfg,
            num_classes=5,
            loss_decode=dict(loss_decode, implementation=implementation),
            align_corners=align_corners,
        )
    )
    inputs = [x.to('cuda') for x in case.inputs(2, 131, 150)]
    with CudaWatch() as watch:
        losses = head.train().loss(inputs, labels_on_cuda(2, 131, 150), None)
        backward(sum(loss for name, loss in losses.items() if 'loss' in name))
    assert not watch.faults
    assert watch.copies == 1


@pytest.mark.parametrize('implementation', ['tiles', 'full', 'kernel'])
@pytest.mark.parametrize('test_cfg', [WHOLE, SLIDE], ids=['whole', 'slide'])
def test_no_implementation_of_class_maps_waits(
    fake_cuda, test_cfg: dict, implementation: str
) -> None:
    model = load_model(CONFIGS / '_base_/models/pcaa_r50.py')
    model.test_cfg = dict(test_cfg, implementation=implementation)
    model = build_on_cuda(model).eval()
    images = torch.randn(1, 3, 128, 160, device='cuda')
    flips = dict(flip=True, flip_direction='horizontal', ori_shape=(99, 71))
    with CudaWatch() as watch, torch.no_grad():
        model.predict(images, labels_on_cuda(1, 128, 160, **flips))
        model.predict(images)
    assert not watch.faults


def values_summed(operator: Any, given: list[Tensor], made: list[Tensor]) -> int:
    """Returns how many values make one, in products of matrices and sums; else 0."""
    operator = getattr(operator, 'overloadpacket', None)
    if operator in (aten.mm, aten.bmm):
        return given[0].shape[-1]
    if operator in (aten.addmm, aten.baddbmm):
        return given[1].shape[-1]
    if operator in (aten.sum, aten.mean):
        return given[0].numel() // made[0].numel()
    return 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('case', HEADS.values(), ids=HEADS.keys())
def test_no_sum_over_pixels_in_half_precision(
    fake_cuda, case: HeadCase, dtype: torch.dtype
) -> None:
    size = 224, 288
    fewest_pixels = 7 * 9  # of a level, and of a region; more than any layer has channels
    loss_decode = dict(type='UpsampledCrossEntropyLoss', implementation='tiles')
    head = build_on_cuda(dict(case.cfg, num_classes=5, loss_decode=loss_decode)).train()
    inputs = [x.to('cuda') for x in case.inputs(2, *size)]
    with CudaWatch() as watch, autocast_on_cuda(dtype):
        logits = head(*arguments(head, inputs))
        losses = head.loss(*arguments(head, inputs), labels_on_cuda(2, *size), None)
    assert logits.dtype == dtype
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    in_halves = [each for each in watch.operators if any(x.dtype == dtype for x in each[1])]
    assert len(in_halves) > 20, 'autocast is off'
    assert max(values_summed(*each) for each in in_halves) < fewest_pixels
