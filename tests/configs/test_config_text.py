"""Configs as text: values come out, and anything that could run is refused."""

import math

import pytest
from mmengine.config import Config
from tiny_run import sentence

from segheads.configs.config_text import parse_config_text


def test_values():
    text = """
a = dict(b=[1, -2.5, 'text', None, True], c=(1,), d={'e-f': {1, 2}}, empty=dict())
learning_rate = 6e-05
limit = -inf
"""
    assert parse_config_text(text, 'x.pth') == dict(
        a=dict(b=[1, -2.5, 'text', None, True], c=(1,), d={'e-f': {1, 2}}, empty={}),
        learning_rate=6e-05,
        limit=-math.inf,
    )


def test_what_mmengine_prints_comes_back(cfg):
    assert Config(parse_config_text(cfg.pretty_text, 'x.pth'))._cfg_dict == cfg._cfg_dict


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        "a = __import__('os').system('touch ran')",
        "a = open('ran', 'w')",
        'a = [open for open in (1, 2)]',
        "a = f'{open}'",
        'a = lambda: 1',
        'a.b = 1',
        'a, b = 1, 2',
        'a = b = 1',
        'a += 1',
        'a = dict([(1, 2)])',
        'a = dict(**{})',
        'a = {**{}}',
        'a = [*()]',
        'a = {[]: 1}',
        'a = ...',
        'a = name',
        "a = -'text'",
        'a = 9 ** 9 ** 9',
        'for a in (): pass',
        'a = (',
        'a = \0',
        'a = ' + '[' * 5000 + ']' * 5000,
        'a = ' + '-' * 100_000 + '1',
        'a = ' + '9' * 10_000,
        '#' * 5_000_000,
    ],
)
def test_anything_else_is_a_sentence(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = sentence(parse_config_text, text, 'x.pth')
    assert told.startswith('the config in x.pth cannot be read as values (') and '\n' not in told
    assert not list(tmp_path.iterdir())
