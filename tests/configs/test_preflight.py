"""Mistakes in the model that a config describes."""

from pathlib import Path

from tiny_run import sentence

from segheads.configs.preflight import check_modules
from segheads.configs.pretrained import check_pretrained, forget_pretrained
from segheads.configs.signatures import check_arguments
from segheads.training.console import build_runner


def test_a_head_that_is_not_registered(cfg):
    cfg.model.decode_head.type = 'CCASegHed'
    told = sentence(check_modules, cfg)
    assert "model.decode_head.type='CCASegHed' is not registered" in told
    assert 'custom_imports' in told and 'CCASegHead' in told


def test_parts_in_lists_and_losses_are_looked_at(cfg):
    check_modules(cfg)
    head = cfg.model.decode_head
    cfg.model.auxiliary_head = [head, dict(type='FCNHead', loss_decode=[dict(type='NoLoss')])]
    assert 'model.auxiliary_head.1.loss_decode.0.type' in sentence(check_modules, cfg)
    cfg.model.auxiliary_head = dict(num_classes=3)
    assert 'model.auxiliary_head has no type' in sentence(check_modules, cfg)


def test_a_data_set_that_is_not_registered(cfg):
    wrapped = dict(type='RepeatDataset', times=2, dataset=dict(type='CamVidDatset'))
    cfg.train_dataloader.dataset = wrapped
    told = sentence(check_modules, cfg)
    assert 'train_dataloader.dataset.dataset.type' in told and 'CamVidDataset' in told


def test_an_argument_that_a_head_does_not_know(cfg):
    cfg.work_dir = 'work'
    cfg.model.decode_head.chanels = 8
    assert "takes no argument 'chanels'" in sentence(build_runner, cfg)


def test_missing_pretrained_weights(cfg):
    told = sentence(check_pretrained, cfg.model)
    assert 'ckpt/mit_b0_20220624-7e0fe6dd.pth' in told
    assert '`segheads download mit_b0`' in told
    assert '`--cfg-options model.backbone.init_cfg=None`' in told

    cfg.model.backbone.init_cfg.checkpoint = 'mine.pth'
    assert 'segheads download' not in sentence(check_pretrained, cfg.model)
    Path('mine.pth').write_bytes(b'')
    check_pretrained(cfg.model)
    cfg.model.backbone.init_cfg.checkpoint = 'https://example.org/mine.pth'
    check_pretrained(cfg.model)
    cfg.model.backbone.init_cfg = None
    check_pretrained(cfg.model)


def test_a_checkpoint_makes_pretrained_weights_unneeded(cfg):
    check_pretrained(cfg.model, checkpoint='iter_2.pth')
    assert cfg.model.backbone.init_cfg is None


def test_pretrained_weights_are_found_everywhere():
    init = dict(type='Pretrained', checkpoint='a.pth')
    model = dict(
        pretrained='b.pth',
        backbone=dict(init_cfg=[dict(type='Constant', val=0), init]),
        auxiliary_head=[dict(type='FCNHead', init_cfg=init)],
    )
    assert 'b.pth, named by model.pretrained' in sentence(check_pretrained, model)
    forget_pretrained(model)
    assert model == dict(
        pretrained=None,
        backbone=dict(init_cfg=None),
        auxiliary_head=[dict(type='FCNHead', init_cfg=None)],
    )


def test_arguments_that_a_class_hands_on_to_a_library_are_not_its_own(cfg):
    timm = dict(type='TIMMBackbone', model_name='resnet10t', out_indices=(1,), stem_width=12)
    cfg.model.backbone = timm
    check_arguments(cfg)
    cfg.model.backbone.model_nam = cfg.model.backbone.pop('model_name')
    assert "takes no argument 'model_nam'" in sentence(check_arguments, cfg)
