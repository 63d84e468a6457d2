"""Checkpoints that are missing, damaged, or of another model."""

from pathlib import Path

import pytest
import torch
from tiny_run import sentence
from torch import nn

from segheads.checkpoints import CheckpointError
from segheads.checkpoints.fit import (
    check_checkpoint_file,
    check_fit,
    load_weights,
    unfit_weights,
)


def test_a_missing_checkpoint(workspace):
    Path('work').mkdir()
    Path('work/iter_16000.pth').write_bytes(b'')
    told = sentence(check_checkpoint_file, 'work/iter_1600.pth')
    assert 'did you mean work/iter_16000.pth?' in told
    assert 'work holds iter_16000.pth' in sentence(check_checkpoint_file, 'work/best.pth')
    assert 'nor does the folder wrok' in sentence(check_checkpoint_file, 'wrok/iter_16000.pth')


def test_a_file_that_is_no_checkpoint(workspace):
    torch.save(dict(weight=torch.ones(100)), 'whole.pth')
    check_checkpoint_file('whole.pth')
    torch.save(dict(weight=torch.ones(1)), 'old.pth', _use_new_zipfile_serialization=False)
    check_checkpoint_file('old.pth')
    Path('half.pth').write_bytes(Path('whole.pth').read_bytes()[:300])
    with pytest.raises(CheckpointError, match='half.pth is only a part of a checkpoint'):
        check_checkpoint_file('half.pth')


class Renamed(nn.Linear):
    """Loads weights of another name too, as the heads load released checkpoints."""

    def __init__(self):
        super().__init__(2, 2)
        self._register_load_state_dict_pre_hook(self.translate)

    @staticmethod
    def translate(state_dict, prefix, *_):
        if f'{prefix}w' in state_dict:
            state_dict[f'{prefix}weight'] = state_dict.pop(f'{prefix}w')


def small_model() -> nn.Module:
    return nn.ModuleDict(dict(head=Renamed(), norm=nn.BatchNorm1d(2)))


def test_fit_is_judged_by_loading():
    model = small_model()
    weights = dict(model.state_dict())
    weights['module.head.w'] = weights.pop('head.weight')
    del weights['norm.num_batches_tracked']
    weights['auxiliary.weight'] = torch.ones(2)
    assert not unfit_weights(model, weights)
    weights['norm.weight'] = torch.ones(3)
    del weights['head.bias']
    unfit = unfit_weights(model, weights)
    assert unfit.missing == ['head.bias']
    assert unfit.mismatched == {'norm.weight': ((3,), (2,))}


def test_judging_changes_nothing():
    model = small_model()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    weights = {name: weight + 1 for name, weight in model.state_dict().items()}
    assert not unfit_weights(model, weights)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert not model._load_state_dict_post_hooks


def segmentor(classes: int) -> nn.Module:
    return nn.ModuleDict(
        dict(
            backbone=nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)),
            decode_head=nn.ModuleDict(dict(conv_seg=nn.Conv2d(4, classes, 1))),
        )
    )


def test_the_report_is_short_and_names_the_cause():
    weights = segmentor(150).state_dict()
    del weights['backbone.0.weight'], weights['backbone.1.weight']
    told = sentence(check_fit, segmentor(19), weights)
    assert told.startswith(
        'the checkpoint does not fit the model: it lacks backbone 2 of 4 (backbone.0.weight, ...) '
        'and differs in the shape of decode_head.conv_seg (150 vs 19): the checkpoint has 150 '
        'classes, the config 19; give the config'
    )
    assert '--allow-partial' in told
    weights = nn.ModuleList(nn.Linear(3, 2) for _ in range(9)).state_dict()
    told = sentence(check_fit, nn.ModuleList(nn.Linear(2, 2) for _ in range(9)), weights)
    assert '0 (2x3 vs 2x2), 1 (2x3 vs 2x2), 2 (2x3 vs 2x2), 3 (2x3 vs 2x2) and 5 more' in told


def test_weights_load_as_a_whole_or_not_at_all(tmp_path):
    path = str(tmp_path / 'trained.pth')
    trained, model = segmentor(19), segmentor(19)
    classes = dict(classes=['road'], palette=[[1, 2, 3]])
    torch.save(dict(state_dict=trained.state_dict(), meta=dict(dataset_meta=classes)), path)
    assert load_weights(model, path) == dict(dataset_meta=classes)
    x = torch.ones(1, 3, 2, 2)
    assert torch.equal(model['backbone'](x), trained['backbone'](x))

    other = segmentor(7)
    before = other['backbone'](x)
    told = sentence(load_weights, other, path)
    assert 'decode_head.conv_seg (19 vs 7)' in told and 'allow_partial=True' in told
    assert torch.equal(other['backbone'](x), before)
    load_weights(other, path, allow_partial=True)
    assert torch.equal(other['backbone'](x), trained['backbone'](x))
