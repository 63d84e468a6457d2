"""The forms that the parts at the top of a config must have, for all that read them."""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from segheads.mistakes import UserMistake

DICTS = (
    *('model', 'tta_model', 'optim_wrapper', 'default_hooks', 'log_processor', 'visualizer'),
    *('env_cfg', 'randomness', 'auto_scale_lr', 'model_wrapper_cfg'),
    *(f'{split}_{part}' for split in ('train', 'val', 'test') for part in ('dataloader', 'cfg')),
)
LISTS = ('custom_hooks', 'tta_pipeline')
DICTS_OR_LISTS = ('param_scheduler', 'val_evaluator', 'test_evaluator')
LEVELS = ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')
NEVER_NONE = ('env_cfg',)
TEXTS = ('work_dir', 'load_from', 'experiment_name', 'default_scope', 'launcher')


def check_forms(cfg: Config) -> None:
    """Checks that each part at the top of a config is a dict, a list or a text, as it must be.

    Args:
        cfg (Config): A config. None, and parts that are missing, are left to what needs them, but
            for an ``env_cfg`` of None, which MMEngine does not take.

    Raises:
        UserMistake: If a part has another form, or an entry of a list is no dict, or the level of
            the log is none.
    """
    for names, forms, wanted in (
        (DICTS, (Mapping,), 'a dict'),
        (LISTS, (list, tuple), 'a list of dicts'),
        (DICTS_OR_LISTS, (Mapping, list, tuple), 'a dict or a list of dicts'),
        (TEXTS, (str, os.PathLike), 'a text'),
    ):
        for name in names:
            part = cfg.get(name)
            if part is None and not (name in cfg and name in NEVER_NONE):
                continue
            _require(part, name, forms, wanted)
            if isinstance(part, (list, tuple)):
                for index, each in enumerate(part):
                    _require(each, f'{name}.{index}', (Mapping,), 'a dict')
    level = cfg.get('log_level', 'INFO')
    if level not in LEVELS and type(level) is not int:
        raise UserMistake(f'log_level is {level!r:.60}, but must be one of {", ".join(LEVELS)}')


def _require(part: Any, key: str, forms: tuple[type, ...], wanted: str) -> None:
    if not isinstance(part, forms):
        raise UserMistake(f'{key} of the config is {part!r:.60}, but must be {wanted}')
