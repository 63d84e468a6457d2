"""Short names of the configs: ``ccaseg_b0_ade20k`` in place of a path."""

import re
from collections import Counter
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from segheads.runtime.description import is_exported

PACKAGE = Path(__file__).resolve().parents[1]
# Where setup.py puts them for those who have no clone, and in a clone.
CONFIG_FOLDERS = (PACKAGE / '.mim' / 'configs', PACKAGE.parent / 'local_configs')

# Crop size and length of the schedule: the recipe of a model, not what it is.
RECIPE = re.compile(r'\d+x\d+|\d+k')
CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.ckpt', '.safetensors', '.bin', '.tar')
FULL_WORDS = {'ade': 'ade20k', 'city': 'cityscapes', 'context59': 'context_59'}


def list_models(pattern: str = '*') -> list[str]:
    """Lists every config of the project by its short name.

    Args:
        pattern (str): Which ones, with ``*`` for any text. Default: all.

    Returns:
        list[str]: Names that :func:`segheads.load` and all tools take in place of a path, sorted.

    Examples:
        >>> list_models('pcaa_*_cityscapes')
        ['pcaa_r101_cityscapes', 'pcaa_r50_cityscapes']
    """
    return sorted(name for name in config_files() if fnmatch(name, pattern))


def is_checkpoint(name: str) -> bool:
    """Tells a checkpoint from a config, where either may be given for a model.

    Args:
        name (str): A file, an address, or a name of :func:`list_models`.

    Returns:
        bool: Whether it has the suffix of checkpoints, is a file without one of configs, or an
        exported model, which needs no config either.
    """
    suffix = Path(name).suffix.lower()
    return (
        suffix in CHECKPOINT_SUFFIXES
        or is_exported(name)
        or (suffix not in CONFIG_SUFFIXES and Path(name).expanduser().is_file())
    )


def config_folder() -> Path | None:
    """Finds the folder of the configs, None if there is none."""
    return next((folder for folder in CONFIG_FOLDERS if folder.is_dir()), None)


@lru_cache(maxsize=1)
def config_files() -> dict[str, Path]:
    """Finds the configs that can be run, which are those outside ``_base_``.

    Returns:
        dict[str, Path]: Files by short name.
    """
    folder = config_folder()
    if folder is None:
        return {}
    files = sorted(
        file for file in folder.rglob('*.py') if '_base_' not in file.relative_to(folder).parts
    )
    return name_files(files)


def name_files(files: list[Path]) -> dict[str, Path]:
    """Gives each config its short name: method, encoder, data set, and what else tells it apart.

    Args:
        files (list[Path]): Configs, such as ``ccaseg.b0.512x512.ade.160k.py``.

    Returns:
        dict[str, Path]: The files by name. Those whose names would be the same keep the crop size
        and the length of the schedule in them.
    """
    words = [re.split(r'[._-]', file.stem.lower()) for file in files]
    short = [_join([word for word in each if not RECIPE.fullmatch(word)]) for each in words]
    count = Counter(short)
    return {
        name if count[name] == 1 else _join(each): file
        for name, each, file in zip(short, words, files, strict=True)
    }


def _join(words: list[str]) -> str:
    return '_'.join(FULL_WORDS.get(word, word) for word in words)
