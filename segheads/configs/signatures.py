"""What a config gives to classes, compared with what they take, before anything is built.

MMEngine builds most of a run late, and classes that take ``**kwargs`` ignore what is misspelt. Here
each part of a config is looked up in its registry, and its keys among the arguments of its class.
"""

import ast
import dis
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmseg.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOG_PROCESSORS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSFORMS,
    VISBACKENDS,
    VISUALIZERS,
)
from torch.utils.data import DataLoader

from segheads.mistakes import UserMistake, near_matches
from segheads.registered_types import type_name, type_of

from . import old_names

SPLITS = ('train', 'val', 'test')
OF_LOADER = ('dataset', 'sampler', 'batch_sampler', 'num_batch_per_epoch')
# Parts of a model that are built by their type; others, such as norm_cfg, are taken apart first.
MODEL_PARTS = (
    *('data_preprocessor', 'backbone', 'neck', 'decode_head', 'auxiliary_head', 'loss_decode'),
    'module',
)
LEFT_OVER = ('optimizer', 'runner', 'total_iters', 'total_epochs')


class Part(NamedTuple):
    """A part of a config that builds an object.

    Attributes:
        key (str): Its dotted key.
        config (Mapping): The part.
        registry (Registry): What its type is looked up in.
        default (str | None): The type where the part has none.
        extra (tuple[str, ...]): Keys that are taken out before the class gets the rest.
    """

    key: str
    config: Mapping[str, Any]
    registry: Registry
    default: str | None = None
    extra: tuple[str, ...] = ()


def check_arguments(cfg: Config) -> None:
    """Checks that classes know the arguments that a config gives them, and registries the classes.

    Args:
        cfg (Config): The config of a run.

    Raises:
        UserMistake: If a key, a type or a name at the top is unknown; the sentence has the dotted
            key and near matches, or what an old name is called today.
    """
    _check_top_level(cfg)
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            _require_mapping(loader, f'{split}_dataloader')
            known = [*inspect.signature(DataLoader).parameters, *OF_LOADER]
            _check_keys(f'{split}_dataloader', 'a data loader', loader, known)
            if loader.get('dataset') is None:
                raise UserMistake(f'{split}_dataloader has no dataset; give it one')
    if cfg.get('randomness') is not None:
        known = [name for name in inspect.signature(Runner.set_randomness).parameters][1:]
        _check_keys('randomness', 'it', cfg.randomness, known)
        if 'seed' not in cfg.randomness:
            raise UserMistake('randomness has no seed; give it one, or None for a random one')
    for part in parts_of(cfg):
        _check_part(part)


def parts_of(cfg: Config) -> Iterator[Part]:
    """Walks through the parts of a config that build objects.

    Args:
        cfg (Config): The config of a run.

    Yields:
        Part: Each part, those of the model first.
    """
    yield from _models(cfg.get('model'), 'model')
    yield from _models(cfg.get('tta_model'), 'tta_model')
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if isinstance(loader, Mapping):
            key = f'{split}_dataloader'
            yield from _datasets(loader.get('dataset'), f'{key}.dataset')
            yield from _each(loader.get('sampler'), f'{key}.sampler', DATA_SAMPLERS)
            yield from _each(loader.get('batch_sampler'), f'{key}.batch_sampler', DATA_SAMPLERS)
        loop = cfg.get(f'{split}_cfg')
        if isinstance(loop, Mapping):
            yield Part(f'{split}_cfg', loop, LOOPS, _default_loop(split, loop), ('by_epoch',))
        evaluator, key = cfg.get(f'{split}_evaluator'), f'{split}_evaluator'
        # An evaluator of one's own has a list of metrics.
        if isinstance(evaluator, Mapping) and not isinstance(evaluator.get('metrics', ''), str):
            evaluator, key = evaluator['metrics'], f'{key}.metrics'
        yield from _each(evaluator, key, METRICS)
    yield from _transforms(cfg.get('tta_pipeline') or (), 'tta_pipeline')
    wrapper = cfg.get('optim_wrapper')
    # Several optimisers are built elsewhere, and stand here by names of their own.
    if isinstance(wrapper, Mapping) and ('optimizer' in wrapper or 'constructor' in wrapper):
        extra = ('optimizer', 'constructor', 'paramwise_cfg')
        yield Part('optim_wrapper', wrapper, OPTIM_WRAPPERS, 'OptimWrapper', extra)
        yield from _each(wrapper.get('optimizer'), 'optim_wrapper.optimizer', OPTIMIZERS)
    extra = ('convert_to_iter_based', 'epoch_length')
    yield from _each(cfg.get('param_scheduler'), 'param_scheduler', PARAM_SCHEDULERS, extra)
    for name, hook in (cfg.get('default_hooks') or {}).items():
        yield from _each(hook, f'default_hooks.{name}', HOOKS, ('priority',))
    yield from _each(list(cfg.get('custom_hooks') or ()), 'custom_hooks', HOOKS, ('priority',))
    yield from _each(cfg.get('log_processor'), 'log_processor', LOG_PROCESSORS)
    visualizer = cfg.get('visualizer')
    yield from _each(visualizer, 'visualizer', VISUALIZERS)
    if isinstance(visualizer, Mapping):
        key = 'visualizer.vis_backends'
        yield from _each(visualizer.get('vis_backends'), key, VISBACKENDS)


def _models(part: Any, key: str) -> Iterator[Part]:
    if isinstance(part, (list, tuple)):
        for index, each in enumerate(part):
            yield from _models(each, f'{key}.{index}')
    elif isinstance(part, Mapping):
        yield Part(key, part, MODELS, 'BaseDataPreprocessor' if 'preproc' in key else None)
        for name in MODEL_PARTS:
            yield from _models(part.get(name), f'{key}.{name}')


def _datasets(part: Any, key: str) -> Iterator[Part]:
    if isinstance(part, (list, tuple)):
        for index, each in enumerate(part):
            yield from _datasets(each, f'{key}.{index}')
    elif isinstance(part, Mapping):
        yield Part(key, part, DATASETS)
        yield from _transforms(part.get('pipeline') or (), f'{key}.pipeline')
        for name in ('dataset', 'datasets'):
            yield from _datasets(part.get(name), f'{key}.{name}')


def _transforms(part: Any, key: str) -> Iterator[Part]:
    if isinstance(part, (list, tuple)):
        for index, each in enumerate(part):
            yield from _transforms(each, f'{key}.{index}')
    elif isinstance(part, Mapping):
        yield Part(key, part, TRANSFORMS)
        if (
            'type' in part and type_name(part) != 'Albu'
        ):  # whose transforms are those of another library
            yield from _transforms(part.get('transforms') or (), f'{key}.transforms')
    elif part is not None:
        raise UserMistake(f'{key} is {part!r:.60}, but must be a transform: dict(type=...)')


def _each(part: Any, key: str, registry: Registry, extra: tuple[str, ...] = ()) -> Iterator[Part]:
    if isinstance(part, (list, tuple)):
        for index, each in enumerate(part):
            yield from _each(each, f'{key}.{index}', registry, extra)
    elif isinstance(part, Mapping):
        default = 'LogProcessor' if registry is LOG_PROCESSORS else None
        yield Part(key, part, registry, default, extra)
    elif part is not None:
        raise UserMistake(f'{key} is {part!r:.60}, but must be dict(type=...)')


def _default_loop(split: str, loop: Mapping[str, Any]) -> str:
    if split != 'train':
        return 'ValLoop' if split == 'val' else 'TestLoop'
    return 'EpochBasedTrainLoop' if loop.get('by_epoch', True) else 'IterBasedTrainLoop'


def _check_top_level(cfg: Config) -> None:
    known = [name for name in inspect.signature(Runner).parameters if name != 'cfg']
    known += [
        'default_scope',
        'custom_imports',
        'tta_model',
        'tta_pipeline',
        'find_unused_parameters',
    ]
    for name in cfg:
        # Some of MMSegmentation's own configs still have these, beside what has taken their place.
        successor = dict(optimizer='optim_wrapper').get(name, 'train_cfg')
        is_left_over = name in LEFT_OVER and cfg.get(successor) is not None
        if name in old_names.TOP_LEVEL and not is_left_over:
            raise UserMistake(
                f'the config has {name!r}, a name of MMSegmentation 0.x; today it is '
                f'{old_names.TOP_LEVEL[name]}'
            )
        if name not in known:
            close = [each for each in known if _is_slip(name, each)]
            if close:
                raise UserMistake(
                    f'the config has {name!r}, which nothing reads{near_matches(name, close)}'
                )


def _is_slip(name: str, known: str) -> bool:
    """Tells whether a name is another one with a letter more, less or other; plurals count."""
    if abs(len(name) - len(known)) > 1 or len(known) < 6:
        return False
    start = next((i for i, (a, b) in enumerate(zip(name, known, strict=False)) if a != b), None)
    if start is None:
        return True
    return name[start + 1 :] in (known[start + 1 :], known[start:]) or (
        name[start:] == known[start + 1 :]
    )


def _check_part(part: Part) -> None:
    _require_mapping(part.config, part.key)
    if 'type' not in part.config and part.default is None:
        raise UserMistake(f'{part.key} has no type; name the class to build')
    given = part.config if 'type' in part.config else dict(type=part.default)
    if not isinstance(given['type'], str) and not callable(given['type']):
        raise UserMistake(f'{part.key}.type is {given["type"]!r:.60}, but must name a class')
    found = type_of(given, part.registry)
    if found is None:
        raise UserMistake(_unknown_type(part, str(given['type'])))
    known, is_open = arguments_of(found)
    known = [*known, 'type', '_scope_', *part.extra]
    checked = part.config
    if is_open:
        # Others are handed on to where they may be known: refused is what looks like a slip.
        checked = {
            name: value
            for name, value in part.config.items()
            if name not in known and any(_is_slip(name, each) for each in known)
        }
    _check_keys(part.key, type_name(given), checked, known)


def _unknown_type(part: Part, name: str) -> str:
    start = f'{part.key}.type={name!r} is not registered'
    if name in old_names.TYPES:
        return f'{start}: today it is {old_names.TYPES[name]}'
    registry = part.registry
    known = [*registry.module_dict, *(registry.parent.module_dict if registry.parent else ())]
    return (
        f'{start} with MMSegmentation (for a class of your own, list its module in custom_imports '
        f'of the config){near_matches(name, known)}'
    )


def _check_keys(key: str, name: str, given: Mapping[str, Any], known: list[str]) -> None:
    for argument in given:
        if argument in known:
            continue
        if argument in old_names.ARGUMENTS:
            remedy = f'; in place of {argument!r} of MMSegmentation 0.x there is '
            remedy += old_names.ARGUMENTS[argument]
        else:
            allowed = ', '.join(each for each in known if each not in ('type', '_scope_', 'self'))
            remedy = near_matches(str(argument), known) or f'; it takes {allowed}'
        raise UserMistake(f'{key}.{argument}: {name} takes no argument {argument!r}{remedy}')


def arguments_of(built: Callable[..., Any]) -> tuple[list[str], bool]:
    """Lists the arguments of a class or a function.

    Args:
        built (Callable): What a part of a config builds.

    Returns:
        tuple[list[str], bool]: Names, those that ``**kwargs`` hands on to classes above included;
        whether others are taken too.
    """
    names: list[str] = []
    is_open = False
    owners = [built]
    if isinstance(built, type):
        owners = [each.__init__ for each in built.__mro__ if '__init__' in vars(each)]
    for owner in owners:
        try:
            parameters = inspect.signature(owner).parameters.values()
        except (TypeError, ValueError):
            return names, True
        names += [each.name for each in parameters if each.kind not in (each.VAR_KEYWORD,)]
        open_ended = [each.name for each in parameters if each.kind is each.VAR_KEYWORD]
        if not open_ended or not _hands_on(owner, open_ended[0]):
            return names, is_open
        is_open = is_open or _hands_elsewhere(owner, open_ended[0])
    return names, True


def _hands_on(function: Callable[..., Any], name: str) -> bool:
    """Tells whether a function reads its ``**kwargs``; what it does not read has no effect."""
    code = getattr(inspect.unwrap(function), '__code__', None)
    if code is None or name in code.co_cellvars:
        return True
    return any(
        name == each.argval or (isinstance(each.argval, tuple) and name in each.argval)
        for each in dis.get_instructions(code)
        if each.opname.startswith('LOAD')
    )


def _hands_elsewhere(function: Callable[..., Any], name: str) -> bool:
    """Tells whether ``**kwargs`` reach something beside the class above, such as a library."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return False
    return any(
        isinstance(call, ast.Call)
        and not (isinstance(call.func, ast.Attribute) and call.func.attr == '__init__')
        and any(
            each.arg is None and getattr(each.value, 'id', '') == name for each in call.keywords
        )
        for call in ast.walk(tree)
    )


def _require_mapping(part: Any, key: str) -> None:
    if not isinstance(part, Mapping):
        raise UserMistake(f'{key} is {part!r:.60}, but must be a dict')
