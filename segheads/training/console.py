"""What a run prints: some lines about it, one live line, its tables, and where everything is."""

import contextlib
import io
import logging
import os
import time
from collections.abc import Iterator
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS, RUNNERS
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from segheads.configs.loading import told_as_mistakes

CONSOLE = Console(markup=False, highlight=False, soft_wrap=True)
# How the metrics of MMSegmentation begin what they log.
TABLE_STARTS = ('per class results', '\n+--')
LABEL_WIDTH = 10


def build_runner(cfg: Config, verbose: bool = False) -> Runner:
    """Builds the Runner of a config.

    Args:
        cfg (Config): The complete config.
        verbose (bool): Whether MMEngine's log goes to the console as well as to its file; otherwise
            the console shows what :class:`ConsoleHook` writes, and tables. Default: False.

    Returns:
        Runner: MMEngine's Runner, or the one that ``runner_type`` in the config names.

    Raises:
        UserMistake: As :func:`segheads.configs.loading.told_as_mistakes`.
    """
    if not verbose:
        show_only_what_is_told(MMLogger.get_current_instance())
        hooks = cfg.get('custom_hooks') or []
        cfg.custom_hooks = [*hooks, dict(type='ConsoleHook')]
    with told_as_mistakes(cfg):
        if 'runner_type' in cfg:
            return RUNNERS.build(cfg)
        return (ConfigKeepingRunner if verbose else QuietRunner).from_cfg(cfg)


@contextlib.contextmanager
def live_line_ended(runner: Runner) -> Iterator[None]:
    """Ends the live line of a run with a block, also if an error or a signal ends it.

    Args:
        runner (Runner): The runner.
    """
    try:
        yield
    finally:
        for hook in runner.hooks:
            if isinstance(hook, ConsoleHook):
                hook.close()


class ConfigKeepingRunner(Runner):
    """MMEngine's Runner, which leaves a config in the work directory as its author wrote it."""

    def dump_config(self) -> None:
        """Writes the complete config as MMEngine does, unless it would replace its own source."""
        source = self.cfg.filename
        if not (source and Path(source).resolve().parent == Path(self.work_dir).resolve()):
            super().dump_config()


class QuietRunner(ConfigKeepingRunner):
    """MMEngine's Runner, whose log goes to its file, and of which the console shows little."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Builds the logger as MMEngine does; see :func:`show_only_what_is_told`."""
        logger = super().build_logger(*args, **kwargs)
        show_only_what_is_told(logger)
        return logger

    def load_or_resume(self) -> None:
        """Loads as MMEngine does, which prints where from; that goes to the log file too."""
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                super().load_or_resume()
        finally:
            for line in printed.getvalue().splitlines():
                if line.startswith('Loads checkpoint by'):
                    self.logger.info(line)
                else:
                    CONSOLE.print(line)


def show_only_what_is_told(logger: MMLogger) -> None:
    """Lets a logger show errors, tables and what :func:`segheads.mistakes.tell` says, no more.

    Args:
        logger (MMLogger): The logger; what it writes to files stays.
    """
    files = [each for each in logger.handlers if isinstance(each, logging.FileHandler)]
    logger.handlers = [*files, ConsoleHandler()]


class ConsoleHandler(logging.Handler):
    """Shows errors, tables of metrics and :func:`segheads.mistakes.tell`, above the live line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Shows a record if it is one of these."""
        message = record.getMessage()
        is_shown = getattr(record, 'is_told', False) or message.startswith(TABLE_STARTS)
        if record.levelno >= logging.ERROR or (is_shown and is_main_process()):
            CONSOLE.print(message.strip('\n'))


@HOOKS.register_module()
class ConsoleHook(Hook):
    """Shows how far a run is: a live line on a terminal, elsewhere a line per logging interval."""

    # After the hooks that count, time and log.
    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def before_train(self, runner: Runner) -> None:
        """Says what is trained, how and where."""
        if not is_main_process():
            return
        print_block({**_about_model(runner), **_about_training(runner), **_about_files(runner)})
        self.interval = next(
            (hook.interval for hook in runner.hooks if type(hook).__name__ == 'LoggerHook'), 50
        )
        self.samples, self.start = 0, time.perf_counter()
        # Nothing is known of an epoch's length before the loader is there.
        total = runner.max_iters
        self._begin('training', total, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Counts an iteration."""
        if not is_main_process():
            return
        self.samples += len(data_batch['inputs']) * get_world_size()
        values = _training_values(runner, self.samples / (time.perf_counter() - self.start))
        self._advance(values, total=runner.max_iters)
        done = runner.iter + 1
        if not CONSOLE.is_terminal and done % self.interval == 0:
            CONSOLE.print(f'{done}/{runner.max_iters}  {values}')
        if done % self.interval == 0:
            self.samples, self.start = 0, time.perf_counter()

    def before_val(self, runner: Runner) -> None:
        """Begins a line for the validation."""
        if is_main_process():
            self._begin('validation', len(runner.val_dataloader))

    def after_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Counts a batch."""
        self._advance()

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Says what the metrics are."""
        self._end_evaluation(f'after iteration {runner.iter}: {_written(metrics)}')
        self.samples, self.start = 0, time.perf_counter()

    def before_test(self, runner: Runner) -> None:
        """Says what is tested, and begins a line for it."""
        if is_main_process():
            about = dict(checkpoint=str(runner._load_from)) if runner._load_from else {}
            about['data'] = _data_set(runner.test_dataloader)
            print_block({**_about_model(runner), **about, **_about_files(runner)})
            self._begin('test', len(runner.test_dataloader))

    def after_test_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        """Counts a batch."""
        self._advance()

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Says what the metrics are."""
        self._end_evaluation(_written(metrics))

    def after_run(self, runner: Runner) -> None:
        """Says where everything is."""
        self.close()
        # The property builds the loop, and with it the data, that a test does without.
        has_trained = isinstance(runner._train_loop, BaseLoop)
        if is_main_process() and has_trained and runner.iter:
            print_block(_results(runner))

    def close(self) -> None:
        """Ends the live line, so that others may print."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None

    def _begin(self, what: str, total: int, done: int = 0) -> None:
        if not CONSOLE.is_terminal:
            return
        if self.progress is None:
            columns = (
                TextColumn('{task.description}'),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn('{task.fields[values]}'),
            )
            self.progress = Progress(*columns, console=CONSOLE, transient=True)
            self.progress.start()
        self.task: list[TaskID] = [
            *getattr(self, 'task', []),
            self.progress.add_task(what, total=total, completed=done, values=''),
        ]

    def _advance(self, values: str = '', total: int | None = None) -> None:
        if self.progress is not None:
            self.progress.update(self.task[-1], advance=1, values=values, total=total)

    def _end_evaluation(self, text: str) -> None:
        if not is_main_process():
            return
        if self.progress is not None:
            self.progress.remove_task(self.task.pop())
        CONSOLE.print(text)


def print_block(lines: dict[str, str]) -> None:
    """Prints a line per entry, the values below each other."""
    for name, text in lines.items():
        CONSOLE.print(f'{name:{LABEL_WIDTH}} {text}')


def _about_model(runner: Runner) -> dict[str, str]:
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    model = getattr(model, 'module', model)  # test-time augmentation
    parts = [getattr(model, name, None) for name in ('backbone', 'neck', 'decode_head')]
    names = ', '.join(type(part).__name__ for part in parts if part is not None)
    count = sum(parameter.numel() for parameter in model.parameters())
    processes = f', {get_world_size()} processes' if get_world_size() > 1 else ''
    return {
        'model': f'{type(model).__name__}: {names}; {count / 1e6:.2f} M parameters',
        'device': f'{_device()}{processes}',
    }


def _about_training(runner: Runner) -> dict[str, str]:
    loader = runner.train_dataloader
    validation = ''
    if runner.val_loop is not None:
        validation = f'; validation on {_data_set(runner.val_dataloader)}'
    wrapper = runner.optim_wrapper
    batch = runner.cfg.train_dataloader.batch_size * get_world_size()
    rate = max(group['lr'] for group in wrapper.param_groups) if _is_single(wrapper) else None
    name = type(wrapper.optimizer).__name__ if _is_single(wrapper) else type(wrapper).__name__
    start = f' from iteration {runner.iter}' if runner.iter else ''
    return {
        'data': f'{_data_set(loader)}{validation}',
        'precision': _precision(runner),
        'schedule': f'{runner.max_iters:,} iterations of {batch} images{start}; {name}'
        + (f', learning rate {rate:.3g}' if rate is not None else ''),
    }


def _about_files(runner: Runner) -> dict[str, str]:
    log = Path(runner._log_dir) / f'{runner.timestamp}.log'
    return {'work dir': _short(runner.work_dir), 'log': _short(log)}


def _results(runner: Runner) -> dict[str, str]:
    found = {}
    for hook in runner.hooks:
        if getattr(hook, 'last_ckpt', None):
            found['last'] = _short(hook.last_ckpt)
        best = getattr(hook, 'best_ckpt_path', None)
        if best:
            found['best'] = _short(best)
    config = Path(runner.work_dir) / Path(runner.cfg.filename or 'config.py').name
    return {**found, 'config': _short(config), **_about_files(runner)}


def _training_values(runner: Runner, rate: float) -> str:
    scalars = runner.message_hub.log_scalars
    values = []
    if 'train/loss' in scalars:
        values.append(f'loss {scalars["train/loss"].current():.4f}')
    learning_rate = scalars.get('train/lr') or scalars.get('train/base_lr')
    if learning_rate is not None:
        values.append(f'lr {learning_rate.current():.2e}')
    return '  '.join([*values, f'{rate:.3g} images/s'])


def _data_set(loader: Any) -> str:
    dataset = loader.dataset
    inner = dataset
    while hasattr(inner, 'dataset') and type(inner).__module__.startswith('segheads.training'):
        inner = inner.dataset
    return f'{len(dataset):,} images of {type(inner).__name__}'


def _device() -> str:
    if get_device() == 'cuda':
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return (
        f'{get_device().upper()}, {threads} thread{"s" * (threads > 1)} on {os.cpu_count()} cores'
    )


def _precision(runner: Runner) -> str:
    name = type(runner.optim_wrapper).__name__
    if name == 'AutocastOptimWrapper':
        return f'mixed with {str(runner.optim_wrapper.dtype)[6:]}'
    return 'mixed with float16' if name == 'AmpOptimWrapper' else 'float32'


def _is_single(wrapper: Any) -> bool:
    return hasattr(wrapper, 'optimizer')


def _written(metrics: dict[str, float] | None) -> str:
    numbers = {key: value for key, value in (metrics or {}).items() if isinstance(value, Real)}
    return ', '.join(f'{key} {value:.2f}' for key, value in numbers.items()) or 'no metrics'


def _short(path: str | Path) -> str:
    """Writes a path below the working directory relative to it, as people type it."""
    path = Path(path)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
