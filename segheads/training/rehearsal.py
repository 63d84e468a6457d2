"""A whole run in small before the run: what would fail after hours fails in seconds.

The rehearsal is a process of its own that goes through everything in a temporary folder: it builds
all that a config names, trains one iteration, validates some images, computes the metrics, looks up
what chooses the best checkpoint, and saves. So it leaves no trace in the run that follows: neither
random numbers nor statistics, weights, records or files.
"""

import contextlib
import copy
import io
import multiprocessing
import os
import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATA_SAMPLERS, DATASETS, LOOPS, VISBACKENDS

from segheads.configs.loading import told_as_mistakes
from segheads.losses.label_check import label_check
from segheads.mistakes import UserMistake, near_matches
from segheads.registered_types import is_type, type_name, type_of

from .failures import first_line, told_by_key
from .unused_parameters import UnusedParametersHook

SPLITS = ('train', 'val', 'test')
# Backends that write files here; others may want a network or an account.
LOCAL_BACKENDS = ('LocalVisBackend', 'TensorboardVisBackend')
# More would take longer; one image alone is too few for some batch norms.
LARGEST_BATCH = 2


def check_loops(cfg: Config) -> None:
    """Checks what MMEngine notices late, or never, about the loops of a training.

    Args:
        cfg (Config): The config of a training run.

    Raises:
        UserMistake: If a loop would never end, if a config has both kinds of length, or one part of
            a validation without the others.
    """
    loop = cfg.train_cfg
    kind = type_of(loop, LOOPS) if 'type' in loop else None
    by_epoch = kind is EpochBasedTrainLoop or (kind is None and loop.get('by_epoch', True))
    if 'max_iters' in loop and 'max_epochs' in loop:
        raise UserMistake(
            f'train_cfg has max_iters={loop["max_iters"]} and max_epochs={loop["max_epochs"]}: a '
            'run has one length; where an inherited config brings the other, replace it whole by '
            'train_cfg=dict(_delete_=True, ...)'
        )
    _check_counts(cfg)
    sampler = cfg.train_dataloader.get('sampler') or {}
    infinite = DATA_SAMPLERS.get('InfiniteSampler')
    if by_epoch and is_type(sampler, DATA_SAMPLERS, infinite):
        raise UserMistake(
            'an epoch never ends with train_dataloader.sampler.type=InfiniteSampler; set it to '
            'DefaultSampler, or train_cfg to dict(type=IterBasedTrainLoop, max_iters=...)'
        )
    for split, purpose in (('val', 'validation'), ('test', 'test')):
        names = (f'{split}_dataloader', f'{split}_cfg', f'{split}_evaluator')
        missing = [name for name in names if cfg.get(name) is None]
        if missing and len(missing) < len(names):
            there = [name for name in names if name not in missing]
            raise UserMistake(
                f'{", ".join(missing)} is None or missing, but {" and ".join(there)} is not: set '
                f'all three for a {purpose}, or all three to None for none'
            )


def _check_counts(cfg: Config) -> None:
    """Checks the numbers that the rehearsal replaces, and so would not fail on."""
    for name in ('max_iters', 'max_epochs', 'val_interval'):
        value = cfg.train_cfg.get(name)
        # A text fails in the rehearsal, where MMEngine says what it compares it with.
        if isinstance(value, (int, float)) and (value < 1 or value != int(value)):
            raise UserMistake(f'train_cfg.{name} is {value}, but must be a whole number above 0')
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader') or {}
        factor, key = loader.get('prefetch_factor'), f'{split}_dataloader.prefetch_factor'
        if factor is None:
            continue
        if not _is_count(factor) or factor == 0:
            raise UserMistake(f'{key} is {factor!r:.60}, but must be a whole number above 0')
        if loader.get('num_workers', 0) == 0:
            raise UserMistake(f'{key} is {factor}, but there are no workers: set num_workers too')


def rehearse(cfg: Config) -> list[str]:
    """Goes through a training in small, in a process of its own.

    Where the system cannot fork a process there is no rehearsal.

    Args:
        cfg (Config): The complete config of the run, as it will be given to the Runner; it is not
            changed.

    Returns:
        list[str]: Names of the parameters that take no part in the loss.

    Raises:
        UserMistake: If anything fails; the sentence names the key of the config.
    """
    if 'fork' not in multiprocessing.get_all_start_methods() or torch.cuda.is_initialized():
        return []
    context = multiprocessing.get_context('fork')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_rehearse_and_tell, args=(cfg, sender), daemon=True)
    process.start()
    sender.close()
    try:
        told, unused = receiver.recv()
    except EOFError:
        process.join()
        unused = []
        told = (
            f'the rehearsal of the run was ended by the system (exit code {process.exitcode}); it '
            'may have taken more memory than there is: make train_dataloader.batch_size or the '
            'crop smaller, or leave the rehearsal out by --no-rehearsal'
        )
    process.join()
    if told is not None:
        raise UserMistake(told)
    return unused


def _rehearse_and_tell(cfg: Config, sender: Any) -> None:
    """Runs in the process of the rehearsal."""
    torch.set_num_threads(1)  # threads of the parent are not in this process
    for variable in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'SLURM_PROCID'):
        os.environ.pop(variable, None)
    told, unused = None, []
    try:
        with (
            tempfile.TemporaryDirectory(prefix='rehearsal-') as folder,
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter('ignore')
            unused = run_in_small(copy.deepcopy(cfg), folder)
    except UserMistake as mistake:
        told = str(mistake)
    except BaseException as error:  # whatever it is, the run would end in it
        told = f'the rehearsal of the run ended in {type(error).__name__}: {first_line(error)}'
    sender.send((told, unused))
    sender.close()
    os._exit(0)  # nothing of the parent may run at the end of this process


def run_in_small(cfg: Config, folder: str) -> list[str]:
    """Trains one iteration, validates some images and saves.

    Args:
        cfg (Config): The config of a training run; it is changed in place.
        folder (str): Where it writes.

    Returns:
        list[str]: Names of the parameters that take no part in the loss.

    Raises:
        UserMistake: If anything fails.
    """
    with told_by_key(cfg):
        make_small(cfg, folder)
        with told_as_mistakes(cfg):
            runner = Runner.from_cfg(cfg)
        metrics = MetricKeysHook()
        runner.register_hook(metrics, priority='VERY_HIGH')
        gradients = UnusedParametersHook()
        runner.register_hook(gradients)
        runner.train()
        label_check.settle()  # a GPU tells of wrong labels later than in one iteration
        return gradients.unused


def make_small(cfg: Config, folder: str) -> None:
    """Shortens a run to one iteration and some images.

    Args:
        cfg (Config): The config of a training run; it is changed in place.
        folder (str): Where it writes.
    """
    cfg.work_dir = folder
    cfg.launcher = 'none'
    cfg.resume = False
    cfg.load_from = None
    if cfg.get('log_level', 'INFO') in ('DEBUG', 'INFO', 'WARNING', 'ERROR'):
        cfg.log_level = 'ERROR'
    cfg.pop('model_wrapper_cfg', None)
    cfg.pop('compile', None)
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        if _is_count(loader.get('num_workers', 0)):
            loader.num_workers = 0
            loader.persistent_workers = False
            loader.pop('prefetch_factor', None)
        if _is_count(loader.get('batch_size')):
            loader.batch_size = min(loader.batch_size, LARGEST_BATCH)
            _limit(loader.get('dataset'), loader.batch_size)
    # What is no number is left as it is, and fails here as it would in the run.
    loop = cfg.train_cfg
    for name in ('max_iters', 'max_epochs', 'val_interval', 'val_begin'):
        if _is_count(loop.get(name)):
            loop[name] = 1
    loop.pop('dynamic_intervals', None)
    for scheduler in _listed(cfg.get('param_scheduler')):
        scheduler.pop('convert_to_iter_based', None)
    hooks = cfg.get('custom_hooks') or []
    left_out = ('InterruptionHook', 'ConsoleHook', 'CompileHook', 'ChannelsLastHook')
    cfg.custom_hooks = [hook for hook in hooks if type_name(hook) not in left_out]
    visualizer = cfg.get('visualizer')
    if visualizer and visualizer.get('vis_backends'):
        backends = visualizer.vis_backends
        visualizer.vis_backends = [each for each in backends if _is_local(each)]


class MetricKeysHook(Hook):
    """Looks up the metrics that hooks choose by, when the first metrics are there."""

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, Any] | None = None) -> None:
        """Compares the keys.

        Args:
            runner (Runner): The runner of the rehearsal.
            metrics (Mapping | None): What the validation has computed.

        Raises:
            UserMistake: If a key is not among the metrics.
        """
        found = list(metrics or {})
        for hook in runner.hooks:
            wanted: list[tuple[str, str]] = []
            if isinstance(hook, CheckpointHook) and hook.save_best:
                keys = [key for key in hook.key_indicators if key != 'auto']
                wanted += [('default_hooks.checkpoint.save_best', key) for key in keys]
            if isinstance(hook, EarlyStoppingHook):
                wanted.append(('monitor of EarlyStoppingHook', hook.monitor))
            for where, key in wanted:
                if key not in found:
                    raise UserMistake(
                        f'{where} is {key!r}, but the metrics are {", ".join(found) or "none"}'
                        f'{near_matches(key, found)}'
                    )


def _limit(dataset: Any, count: int) -> None:
    """Lets data sets of MMSegmentation, also inside of wrappers, have their first samples only."""
    if isinstance(dataset, (list, tuple)):
        for each in dataset:
            _limit(each, count)
    elif isinstance(dataset, dict):
        if is_type(dataset, DATASETS, BaseSegDataset):
            dataset.setdefault('indices', count)
        for name in ('dataset', 'datasets'):
            _limit(dataset.get(name), count)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _listed(part: Any) -> list[Any]:
    if not part:
        return []
    return list(part) if isinstance(part, (list, tuple)) else [part]


def _is_local(backend: Mapping[str, Any]) -> bool:
    found = type_of(backend, VISBACKENDS)
    return getattr(found, '__name__', '') in LOCAL_BACKENDS
