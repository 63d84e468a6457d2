"""What a checkpoint says beside its weights is checked before anything believes it."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segheads.checkpoints import CheckpointError, read_checkpoint
from segheads.checkpoints.config_text import is_harmless, read_config_text

WEIGHTS = {'backbone.conv.weight': torch.ones(2)}
EVIL = "__import__('pathlib').Path('executed').touch()\n"
HUB = dict(log_scalars={}, runtime_info={}, resumed_keys={})


def read(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    torch.save(content, folder / 'file.pth')
    return read_checkpoint(folder / 'file.pth')


def texts_of(value: Any, key: str) -> list[str]:
    """Finds everything under a key, at any depth."""
    if not isinstance(value, dict):
        return []
    own = [value[key]] if key in value else []
    return own + [text for part in value.values() for text in texts_of(part, key)]


@pytest.mark.parametrize('wrapper', ['state_dict', 'model', 'model_state_dict', 'state_dict_ema'])
@pytest.mark.parametrize('depth', [0, 1, 2, 3])
def test_no_text_is_left_where_mmengine_executes_it(wrapper, depth, tmp_path):
    content = dict(state_dict=WEIGHTS, meta=dict(config=EVIL, epoch=0, iter=1))
    for _ in range(depth):
        content = {wrapper: content, 'meta': dict(config=EVIL)}
    loaded = read(content, tmp_path)
    assert loaded['meta']['config_text'] == EVIL
    assert not texts_of(loaded, 'config') and not texts_of(loaded, 'cfg')


def test_a_file_without_weights_by_name_is_disarmed_too(tmp_path):
    assert 'config' not in read(dict(meta=dict(config=EVIL), x=torch.ones(1)), tmp_path)['meta']


@pytest.mark.parametrize(
    'text',
    [
        EVIL,
        "_base_ = ['evil.py']\n",
        "custom_imports = dict(imports=['this'])\n",
        "a = '{{$X:1}}'\n",
        'a = 1 +',
    ],
)
def test_the_config_of_an_inferencer_is_left_out_unless_it_is_harmless(text, tmp_path):
    hub = dict(HUB, runtime_info=dict(cfg=text), resumed_keys=dict(cfg=True))
    loaded = read(dict(state_dict=WEIGHTS, meta=dict(cfg=text), message_hub=hub), tmp_path)
    assert not texts_of(loaded, 'cfg')


def test_a_harmless_config_stays(tmp_path):
    text = "custom_imports = dict(imports=['segheads'])\nmodel = dict(type='A', size=(-1, 2.0))\n"
    hub = dict(HUB, runtime_info=dict(cfg=text))
    loaded = read(dict(state_dict=WEIGHTS, meta=dict(cfg=text), message_hub=hub), tmp_path)
    assert loaded['message_hub']['runtime_info']['cfg'] == loaded['meta']['cfg'] == text
    assert read_config_text(text)['model'] == dict(type='A', size=(-1, 2.0))


@pytest.mark.parametrize(
    'text',
    [
        'a = open("x")',
        'a = dict(**{})',
        'a = [b for b in c]',
        'import os',
        'a = b',
        'a.b = 1',
        'a = dict(1)',
        'a = 1 if 2 else 3',
        'a = f"{1}"',
        'a = lambda: 1',
        '(',
    ],
)
def test_a_config_with_code_is_refused(text):
    with pytest.raises(CheckpointError):
        read_config_text(text)
    assert not is_harmless(text, frozenset())


@pytest.mark.parametrize(
    'notes',
    [
        dict(meta='text'),
        dict(meta=[1]),
        dict(meta=dict(iter=-1)),
        dict(meta=dict(epoch='3')),
        dict(meta=dict(iter=True)),
        dict(meta=dict(iter=2**70)),
        dict(message_hub='text'),
        dict(message_hub=dict(HUB, runtime_info=[])),
        dict(message_hub=dict(HUB, runtime_info={1: 2})),
        dict(message_hub=dict(HUB, runtime_info=dict(best_score='high'))),
        dict(message_hub=dict(HUB, runtime_info=dict(best_score_mIoU=math.nan))),
        dict(message_hub=dict(HUB, runtime_info=dict(best_ckpt=3))),
        dict(message_hub=dict(HUB, runtime_info=dict(last_ckpt='a\0b'))),
        dict(message_hub=dict(HUB, runtime_info=dict(keep_ckpt_ids='12'))),
        dict(message_hub=dict(HUB, runtime_info=dict(keep_ckpt_ids=['../../x']))),
        dict(message_hub=dict(HUB, runtime_info=dict(max_iters=1.5))),
    ],
)
def test_notes_of_another_kind_are_refused_in_one_sentence(notes, tmp_path):
    with pytest.raises(CheckpointError) as error:
        read(dict(state_dict=WEIGHTS, **notes), tmp_path)
    assert '\n' not in str(error.value) and 'file.pth was not read: it ' in str(error.value)


def test_what_mmengine_writes_is_accepted(tmp_path):
    info = dict(best_score=np.float64(0.5), best_score_b=torch.tensor(1.0), best_ckpt='a.pth')
    info.update(keep_ckpt_ids=[1, 2], iter=3, epoch=0, max_iters=9, last_ckpt=None)
    hub = dict(HUB, runtime_info=info)
    meta = dict(epoch=0, iter=np.int64(3), dataset_meta=dict(classes=('a',), palette=[[1, 2, 3]]))
    loaded = read(dict(state_dict=WEIGHTS, meta=meta, message_hub=hub), tmp_path)
    assert loaded['meta'] == meta and loaded['message_hub']['runtime_info'] == info


@pytest.mark.parametrize(
    'note',
    [
        dict(dataset_meta='text'),
        dict(dataset_meta=['a']),
        dict(dataset_meta=dict(classes=5)),
        dict(dataset_meta=dict(classes='abc')),
        dict(dataset_meta=dict(classes=[1, 2])),
        dict(dataset_meta=dict(palette='red')),
        dict(dataset_meta=dict(palette=[[1]])),
        dict(dataset_meta=dict(palette=[[300, -1, 0]])),
        dict(dataset_meta=dict(palette=[[1, 2, 3], [4, 5]])),
        dict(dataset_meta=dict(palette=[['a', 'b', 'c']])),
        dict(CLASSES=7),
        dict(PALETTE=[[0.5, 0, 0]]),
    ],
)
def test_names_and_colours_that_are_none_are_left_out_with_a_warning(note, tmp_path):
    with pytest.warns(UserWarning, match='is ignored'):
        meta = read(dict(state_dict=WEIGHTS, meta=note), tmp_path)['meta']
    assert meta in ({}, dict(dataset_meta={}))


def test_weights_need_names_and_an_end(tmp_path):
    with pytest.raises(CheckpointError, match='names are no texts'):
        read(dict(state_dict={1: torch.ones(1)}), tmp_path)
    with pytest.raises(CheckpointError, match="holds a list under 'state_dict'"):
        read(dict(state_dict=[1]), tmp_path)
    content: dict[str, Any] = dict(state_dict={})
    content['state_dict']['model'] = content
    with pytest.raises(CheckpointError):
        read(content, tmp_path)
