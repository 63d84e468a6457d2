"""From the command line to a config: every mistake on the way gets its sentence."""

import difflib
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config

from segheads.mistakes import UserMistake, near_matches

from .forms import check_forms
from .names import config_files

CONFIG_FOLDER = 'local_configs'


def load_config(path: str, options: Mapping[str, Any] | None = None) -> Config:
    """Reads a config file and overrides settings in it.

    Args:
        path (str): The config file, or a name of :func:`segheads.list_models`.
        options (Mapping[str, Any] | None): Values by dotted keys, as from ``--cfg-options``.

    Returns:
        Config: The config.

    Raises:
        UserMistake: If the file is not there (the sentence names similar ones) or does not parse,
            if an option cannot be set, if one looks like a misspelt key, or if a part at the top is
            no dict, list or text where it must be one.
    """
    path = find_config(path)
    try:
        cfg = Config.fromfile(path)
    except ImportError as error:
        reason = error.__cause__ or error
        raise UserMistake(
            f'the config file {path} imports a module that cannot be imported ({reason}); install '
            'it, put its folder on PYTHONPATH, or correct custom_imports'
        ) from error
    except Exception as error:
        raise UserMistake(
            f'the config file {path} does not parse: {_describe(error, path)}'
        ) from error
    for key in options or {}:
        _check_option(cfg, key)
    try:
        cfg.merge_from_dict(options or {})
    except (KeyError, TypeError, ValueError) as error:
        raise UserMistake(f'--cfg-options {" ".join(options)}: {error.args[0]}') from error
    check_forms(cfg)
    # Where a config in pure Python names classes only; MMEngine would not find what is ours.
    cfg.setdefault('default_scope', 'mmseg')
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        # PyTorch refuses to keep workers where there are none.
        if cfg.get(name) and cfg[name].get('num_workers') == 0:
            cfg[name].persistent_workers = False
    return cfg


def find_config(path_or_name: str) -> str:
    """Finds a config.

    Args:
        path_or_name (str): A file, or a name of :func:`segheads.list_models`. Where both exist,
            the file counts.

    Returns:
        str: Path of the file.

    Raises:
        UserMistake: If it is neither; the sentence names similar ones.
    """
    if Path(path_or_name).is_file():
        return path_or_name
    if path_or_name in config_files():
        return str(config_files()[path_or_name])
    if Path(path_or_name).is_dir():
        raise UserMistake(f'{path_or_name} is a folder; name one of the configs in it')
    similar = _similar_configs(path_or_name)
    if re.fullmatch(r'[\w-]+', path_or_name):
        names = near_matches(path_or_name.lower(), config_files())
        raise UserMistake(
            f'{path_or_name} is neither a config file nor the name of a model{names or similar}'
            '; segheads.list_models() lists all names'
        )
    raise UserMistake(f'the config file {path_or_name} does not exist{similar}')


@contextmanager
def told_as_mistakes(cfg: Config) -> Iterator[None]:
    """Answers what a config's classes refuse, while they are built, by a sentence.

    Args:
        cfg (Config): The config.

    Raises:
        UserMistake: If a part of the config lacks an argument, has one that its class does not
            know, or is refused by an assertion with a message, as MMSegmentation checks its
            arguments.
    """
    try:
        yield
    except TypeError as error:
        missing = re.search(r'(\S+)\.__init__\(\) missing .* arguments?: (.+)', str(error))
        if missing:
            inferred = ", or leave in_channels out behind a segmentor of type 'LeanEncoderDecoder'"
            raise UserMistake(
                f'{cfg.filename or "config"}: {missing[1]} needs {missing[2]}; add it to the config'
                f'{inferred if "in_channels" in missing[2] else ""}'
            ) from error
        # Python 3.13 adds which argument it may have been.
        unknown = re.search(r"(\S+)\.__init__\(\) got an unexpected .*?'(\w+)'", str(error))
        if unknown is None:
            raise
        raise UserMistake(
            f'{cfg.filename or "config"}: {unknown[1]} takes no argument {unknown[2]!r}; correct '
            'its name or remove it from the config'
        ) from error
    except AssertionError as error:
        if not str(error):
            raise
        raise UserMistake(f'{cfg.filename or "config"}: {error}') from error


def require_keys(cfg: Config, keys: Sequence[str]) -> None:
    """Checks that a config has what a run needs.

    Args:
        cfg (Config): The config.
        keys (Sequence[str]): Top-level keys that must be there.

    Raises:
        UserMistake: If one is missing or None.
    """
    missing = [key for key in keys if cfg.get(key) is None]
    if missing:
        raise UserMistake(
            f'the config file {cfg.filename} has no {", ".join(missing)}; inherit a model, a data '
            f'set, a schedule and a runtime from {CONFIG_FOLDER}/_base_'
        )


def default_work_dir(path: str) -> str:
    """Returns the work directory of MMSegmentation's tools, ``work_dirs/NAME_OF_CONFIG_FILE``."""
    return str(Path('work_dirs') / Path(find_config(path)).stem)


def _similar_configs(path: str) -> str:
    """Names configs that resemble a path, or that have the same name in another folder."""
    repository = Path(__file__).resolve().parents[2]
    nearby = [file.as_posix() for file in sorted(Path(path).parent.glob('*.py'))]
    for root in (Path.cwd(), repository):
        files = sorted((root / CONFIG_FOLDER).rglob('*.py'))
        nearby += [file.relative_to(root).as_posix() for file in files if '_base_' not in str(file)]
        if files:
            break
    # A right name in a wrong folder is nearer than a wrong name in the right one.
    by_name = {Path(file).name: file for file in reversed(nearby)}
    name = Path(path).name if Path(path).suffix else f'{Path(path).name}.py'
    close = [name] if name in by_name else difflib.get_close_matches(name, by_name)
    return f'; did you mean {" or ".join(by_name[name] for name in close)}?' if close else ''


def _describe(error: Exception, path: str) -> str:
    """Tells an error of parsing in one line, with file and line where they are known."""
    if isinstance(error, SyntaxError):
        return f'{error.msg} (line {error.lineno} of {_file_with_syntax_error(path)})'
    message = str(error.args[0] if isinstance(error, KeyError) else error).strip()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.line]
    own = [frame for frame in frames if frame.name == '<module>']
    where = f' (line {own[-1].lineno} of {Path(own[-1].filename).name})' if own else ''
    return f'{type(error).__name__}: {message.splitlines()[0] if message else ""}{where}'


def _file_with_syntax_error(path: str) -> str:
    """MMEngine does not say which file it was parsing: the config, or one that it inherits."""
    try:
        compile(Path(path).read_text(encoding='utf-8'), path, 'exec')
    except SyntaxError:
        return Path(path).name
    return 'a file in its _base_'


def _check_option(cfg: Config, key: str) -> None:
    """Refuses a new key that differs little from an existing one: most likely it is misspelt.

    Only keys on the way to the setting are compared; the setting itself may be new, and what takes
    it says whether it knows it.
    """
    node: Any = cfg
    *parents, _ = key.split('.')
    for parent in parents:
        if not isinstance(node, (Mapping, Config)):
            return
        if parent not in node:
            close = difflib.get_close_matches(parent, list(node.keys()), n=1, cutoff=0.85)
            if close:
                raise UserMistake(
                    f'--cfg-options {key}: the config has no {parent!r} there'
                    f'{near_matches(parent, close)}'
                )
            return
        node = node[parent]
