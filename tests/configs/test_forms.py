"""A part of a config that is no dict or list where it must be one."""

from pathlib import Path

import pytest
from mmengine.config import Config
from tiny_run import CONFIG, sentence

from segheads.configs.forms import DICTS, DICTS_OR_LISTS, LISTS, NEVER_NONE, TEXTS, check_forms
from segheads.configs.loading import load_config
from segheads.configs.names import config_files
from segheads_command import as_function

GIVEN = (True, 3, 2.5, 'text', [1], {'a': 1})


def allowed(name: str) -> tuple[type, ...]:
    """Returns the forms of a part, of those that are given here."""
    return {DICTS: (dict,), LISTS: (), DICTS_OR_LISTS: (dict,), TEXTS: (str,)}[
        next(names for names in (DICTS, LISTS, DICTS_OR_LISTS, TEXTS) if name in names)
    ]


@pytest.mark.parametrize('name', [*DICTS, *LISTS, *DICTS_OR_LISTS, *TEXTS])
def test_a_part_of_another_form_is_told_by_its_key(name):
    for given in GIVEN:
        cfg = Config({name: given})
        if isinstance(given, allowed(name)):
            check_forms(cfg)
        else:
            told = sentence(check_forms, cfg)
            assert told.startswith(name) and 'must be' in told, given
    if name in NEVER_NONE:
        assert 'must be a dict' in sentence(check_forms, Config({name: None}))
    else:
        check_forms(Config({name: None}))


def test_an_entry_of_a_list_is_told_by_its_number():
    told = sentence(check_forms, Config(dict(custom_hooks=[dict(type='EMAHook'), None])))
    assert told == 'custom_hooks.1 of the config is None, but must be a dict'


@pytest.mark.parametrize('level', ['verbose', None, True, [1], 2.5])
def test_levels_of_the_log(level):
    assert 'one of DEBUG, INFO' in sentence(check_forms, Config(dict(log_level=level)))
    check_forms(Config(dict(log_level=20)))


@pytest.mark.parametrize('change', ['default_hooks = True', 'train_dataloader = [1]', 'model = 2'])
@pytest.mark.parametrize('command', ['train', 'check'])
def test_every_command_tells_it(workspace, change, command):
    Path('changed.py').write_text(f'{CONFIG}\n{change}\n')
    told = sentence(as_function(command), ['changed.py'])
    assert told.startswith(change.split()[0]) and 'must be a dict' in told


def test_shipped_configs_have_the_right_forms():
    for name in sorted(config_files())[::6]:
        load_config(name)
