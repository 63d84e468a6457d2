"""A type is recognised however it is written."""

import pytest
from mmengine.hooks import CheckpointHook
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import IterBasedTrainLoop
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.evaluation import IoUMetric
from mmseg.registry import HOOKS, LOOPS, METRICS, TRANSFORMS

from segheads.data.checks import find_transform
from segheads.registered_types import is_type, set_type, type_name, type_of
from segheads.training.compilation import request_compilation
from segheads.training.precision import choose_precision
from segheads.training.processes import replace_sync_batch_norm
from segheads.training.resumable_loop import use_resumable_loop
from segheads.training.saving import save_atomically

WRITTEN = ['IoUMetric', 'mmseg.IoUMetric', 'mmseg.evaluation.IoUMetric', IoUMetric]


@pytest.mark.parametrize('written', WRITTEN)
def test_a_class_is_found(written):
    part = dict(type=written)
    assert type_of(part, METRICS) is IoUMetric and is_type(part, METRICS, IoUMetric)
    assert type_name(part) == 'IoUMetric'


def test_what_is_no_class_is_none():
    assert type_of(dict(type='Nothing'), METRICS) is None
    assert type_of({}, METRICS) is None and type_of(None, METRICS) is None
    assert not is_type(dict(type='Nothing'), METRICS, IoUMetric)
    for scope in ('mmengine', 'mmseg'):  # mmseg builds what mmengine knows
        part = dict(type='IterBasedTrainLoop', _scope_=scope)
        assert type_of(part, LOOPS) is IterBasedTrainLoop


def test_another_type_takes_the_scope_away():
    part = dict(type='mmengine.CheckpointHook', _scope_='mmengine')
    set_type(part, 'AtomicCheckpointHook')
    assert part == dict(type='AtomicCheckpointHook')


@pytest.mark.parametrize('written', ['LoadAnnotations', 'mmseg.LoadAnnotations', LoadAnnotations])
def test_transforms_are_found(written):
    pipeline = [dict(type='mmcv.TestTimeAug', transforms=[[dict(type=written)]])]
    assert find_transform(pipeline, 'LoadAnnotations') == dict(type=written)
    assert find_transform([dict(type='mmcv.LoadImageFromFile')], 'LoadAnnotations') is None
    assert find_transform([dict(type='mmcv.LoadImageFromFile')], 'LoadImageFromFile')
    assert TRANSFORMS.get('LoadAnnotations') is LoadAnnotations


@pytest.mark.parametrize('written', ['mmengine.{}', '{}'])
def test_a_config_is_changed_however_its_types_are_written(cfg, written):
    cfg.default_hooks.checkpoint.type = written.format('CheckpointHook')
    cfg.train_cfg.type = written.format('IterBasedTrainLoop')
    cfg.optim_wrapper.type = written.format('AmpOptimWrapper')
    cfg.custom_hooks = [dict(type='segheads.training.compilation.CompileHook')]
    save_atomically(cfg)
    use_resumable_loop(cfg)
    choose_precision(cfg, mixed=False)
    request_compilation(cfg, compiled=True)
    assert cfg.default_hooks.checkpoint.type == 'AtomicCheckpointHook'
    assert cfg.train_cfg.type == 'ResumableTrainLoop'
    assert cfg.optim_wrapper.type == 'AutocastOptimWrapper'
    assert len(cfg.custom_hooks) == 1


def test_classes_in_a_config_are_replaced_too(cfg):
    cfg.default_hooks.checkpoint.type = CheckpointHook
    cfg.train_cfg.type = IterBasedTrainLoop
    cfg.optim_wrapper.type = AmpOptimWrapper
    save_atomically(cfg)
    use_resumable_loop(cfg)
    choose_precision(cfg, mixed=False)
    assert is_type(cfg.default_hooks.checkpoint, HOOKS, CheckpointHook)
    assert cfg.train_cfg.type == 'ResumableTrainLoop'
    assert cfg.optim_wrapper.type == 'AutocastOptimWrapper'
    norm = dict(norm_cfg=dict(type='mmengine.SyncBN'))
    replace_sync_batch_norm(norm)
    assert norm['norm_cfg']['type'] == 'BN'
