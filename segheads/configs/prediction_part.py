"""What a prediction needs of the config in a checkpoint, with types that are registered only.

MMEngine builds whatever a ``type`` names: a class of a registry, or, by its full name, any function
of any module that can be imported. A checkpoint may come from anybody, so of its config nothing is
built that no registry knows.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from importlib import import_module
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry, root
from mmengine.utils import import_modules_from_strings

from segheads.data.checks import leaf_datasets
from segheads.mistakes import UserMistake, near_matches

from .config_text import parse_config_text

KEPT = ('default_scope', 'model', 'tta_model', 'tta_pipeline', 'test_pipeline')
SCOPES = {'mmengine', 'mmcv', *MODULE2PACKAGE}
OLD_KEYS = {'data', 'runner', 'evaluation', 'checkpoint_config'}


def config_in_checkpoint(meta: Mapping[str, Any], source: str, trusted: bool = False) -> Config:
    """Takes from the notes of a checkpoint what a prediction needs of its config.

    Args:
        meta (Mapping): The ``meta`` of the checkpoint.
        source (str): Its file, for the sentences.
        trusted (bool): Whether modules of ``custom_imports`` may be imported, and types that no
            registry knows be built. Default: False.

    Returns:
        Config: The model, the test pipeline, the classes and test-time augmentation.

    Raises:
        UserMistake: If there is no config of MMSegmentation 1.x in it, or one that holds more than
            values, or a type that is not registered.
    """
    texts = (meta.get(name) for name in ('config_text', 'cfg', 'config'))
    text = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    if text is None:
        raise UserMistake(f'{source} holds no config; name the config that it was trained with too')
    whole = parse_config_text(text, source)
    if not isinstance(whole.get('model'), dict) or OLD_KEYS & set(whole):
        what = 'of MMSegmentation 0.x' if OLD_KEYS & set(whole) else 'without a model'
        raise UserMistake(
            f'the config in {source} is one {what}; name the config of today that fits it too'
        )
    part = {name: whole[name] for name in KEPT if whole.get(name) is not None}
    dataset = _test_dataset(whole)
    if dataset is not None:
        part['test_dataloader'] = dict(dataset=dataset)
    if trusted:
        import_modules_from_strings(**(whole.get('custom_imports') or {'imports': None}))
    else:
        _require_scope(part.get('default_scope', 'mmseg'), 'default_scope', source)
        for key, each in _typed_parts(part):
            _require_registered(each, key, source)
    cfg = Config(part)
    cfg.setdefault('default_scope', 'mmseg')
    return cfg


def _test_dataset(whole: Mapping[str, Any]) -> dict[str, Any] | None:
    """Takes the pipeline and the classes from the data set of evaluation."""
    for split in ('test', 'val', 'train'):
        with suppress(AttributeError, KeyError, StopIteration, TypeError):
            loader = whole[f'{split}_dataloader']
            _, dataset = next(leaf_datasets(loader['dataset'], ''))
            kept = {'type': dataset['type']}
            if not list(_registered(str(dataset['type']).rpartition('.')[2], None)):
                kept['type'] = 'BaseSegDataset'
            if split != 'train' and isinstance(dataset.get('pipeline'), list):
                kept['pipeline'] = dataset['pipeline']
            # As a text they would name a file of whoever reads the checkpoint.
            names = dict(dataset.get('metainfo') or {})
            kept['metainfo'] = {k: v for k, v in names.items() if not isinstance(v, str)}
            return kept
    return None


def _typed_parts(part: Any, key: str = '') -> Iterator[tuple[str, MutableMapping[str, Any]]]:
    """Yields every dict in a config that may say what it builds, with its dotted key."""
    if isinstance(part, dict):
        if 'type' in part or '_scope_' in part:
            yield key, part
        children = part.items()
    elif isinstance(part, (list, tuple)):
        children = enumerate(part)
    else:
        return
    for name, child in children:
        yield from _typed_parts(child, f'{key}.{name}' if key else str(name))


def _require_registered(part: MutableMapping[str, Any], key: str, source: str) -> None:
    if '_scope_' in part:
        _require_scope(part['_scope_'], f'{key}._scope_', source)
    path = part.get('type')
    if path is None:
        return
    *modules, name = str(path).split('.')
    if isinstance(path, str):
        scope = modules[0] if len(modules) == 1 and modules[0] in SCOPES else None
        found = list(_registered(name, scope))
        if found and (not modules or scope):
            return
        # A config in pure Python notes where a class is; the registry knows the same by its name.
        if any(getattr(each, '__module__', '').split('.')[0] == modules[0] for each in found):
            part['type'] = name
            return
    known = {name for registry in _registries() for name in registry.module_dict}
    raise UserMistake(
        f'{key}.type={path!r} of the config in {source} is not registered with MMSegmentation, '
        'and nothing else is built from a checkpoint; import the module that registers it first, '
        f'or name the config too{near_matches(name, known)}'
    )


def _require_scope(scope: Any, key: str, source: str) -> None:
    if scope not in SCOPES:
        raise UserMistake(
            f'{key}={scope!r} of the config in {source} is none of {", ".join(sorted(SCOPES))}'
        )


def _registered(name: str, scope: str | None) -> Iterator[Any]:
    """Yields what registries have under a name, of all scopes or of one."""
    for registry in _registries(scope):
        if name in registry.module_dict:
            yield registry.module_dict[name]


def _registries(scope: str | None = None) -> Iterator[Registry]:
    """Yields the registries of all packages, each with its modules imported."""
    if scope is not None:
        with suppress(ImportError):
            import_module(f'{scope}.registry')
    waiting = [each for each in vars(root).values() if isinstance(each, Registry)]
    while waiting:
        registry = waiting.pop()
        waiting += registry.children.values()
        if scope in (None, registry.scope):
            registry.import_from_location()
            yield registry
