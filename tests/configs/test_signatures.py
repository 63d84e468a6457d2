"""Arguments of classes that hand on what they do not know."""

import pytest
from mmengine.config import Config
from tiny_run import sentence

from segheads.configs.signatures import check_arguments


@pytest.mark.parametrize('setting', [dict(out_indices=(1, 2)), dict(drop_path_rate=0.1)])
def test_encoders_of_timm_take_what_timm_takes(cfg: Config, setting: dict) -> None:
    """MMSegmentation's class hands them to timm, not to a class above it."""
    cfg.model.backbone = dict(type='TIMMBackbone', model_name='resnet18', **setting)
    check_arguments(cfg)


def test_slips_are_still_told(cfg: Config) -> None:
    """What looks like a known argument is none."""
    cfg.model.backbone = dict(type='TIMMBackbone', model_nam='resnet18')
    assert 'model_name' in sentence(check_arguments, cfg)
    cfg.model.decode_head.num_block = 3
    cfg.model.backbone = dict(type='TIMMBackbone', model_name='resnet18')
    assert 'num_blocks' in sentence(check_arguments, cfg)
