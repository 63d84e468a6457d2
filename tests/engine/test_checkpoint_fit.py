"""Checkpoints that are missing, damaged, or of another model."""

from pathlib import Path

import torch
from tiny_run import sentence
from torch import nn

from segheads.engine.checkpoint_fit import (
    check_checkpoint_file,
    latest_checkpoint,
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
    assert 'only a part of one' in sentence(check_checkpoint_file, 'half.pth')


def test_resuming_from_a_checkpoint_that_was_moved(workspace):
    assert latest_checkpoint('.') is None
    Path('last_checkpoint').write_text('/moved/iter_2.pth')
    assert 'names /moved/iter_2.pth, which does not exist' in sentence(latest_checkpoint, '.')


class Renamed(nn.Linear):
    """Loads weights of another name too, as the heads load released checkpoints."""

    def __init__(self):
        super().__init__(2, 2)
        self._register_load_state_dict_pre_hook(self.translate)

    @staticmethod
    def translate(state_dict, prefix, *_):
        if f'{prefix}w' in state_dict:
            state_dict[f'{prefix}weight'] = state_dict.pop(f'{prefix}w')


def test_fit_is_judged_by_loading():
    model = nn.ModuleDict(dict(head=Renamed(), norm=nn.BatchNorm1d(2)))
    weights = dict(model.state_dict())
    weights['module.head.w'] = weights.pop('head.weight')
    del weights['norm.num_batches_tracked']
    weights['auxiliary.weight'] = torch.ones(2)
    assert unfit_weights(model, weights) == ([], [])
    weights['norm.weight'] = torch.ones(3)
    del weights['head.bias']
    assert unfit_weights(model, weights) == (['head.bias'], ['norm.weight'])
