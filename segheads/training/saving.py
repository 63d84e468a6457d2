"""Checkpoints that are complete or not there, whatever ends the run that writes them."""

import re
import shutil
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from segheads.mistakes import UserMistake
from segheads.registered_types import set_type, type_of

from .accumulation import GRADIENTS, accumulated_gradients, set_gradients
from .atomic_files import BACKEND, remove_unfinished, write_atomically

LAST_CHECKPOINT = 'last_checkpoint'  # MMEngine's name of the file that names a checkpoint.


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, for which no instant is a bad one to be killed at.

    A checkpoint is written atomically, ``last_checkpoint`` names it only once it is complete, and
    only then are the checkpoints removed that ``max_keep_ckpts`` or a better one make superfluous;
    MMEngine removes them first. The arguments are those of
    :class:`mmengine.hooks.CheckpointHook`. Where they say that checkpoints go elsewhere than to
    local files (``backend_args``, an address as ``out_dir``), that backend writes as it does.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        has_backend = self.backend_args is not None or self.file_client_args is not None
        self.is_local = not has_backend and '://' not in str(self.out_dir or '')
        self.gradients: dict[str, Tensor] = {}
        self.resumed_gradients: dict[str, Tensor] | None = None
        if self.is_local:
            self.backend_args = dict(backend=BACKEND)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keeps gradients that the resumed run had accumulated when it was saved.

        Args:
            runner (Runner): The runner of the training process.
            checkpoint (dict): The checkpoint.
        """
        if runner._resume:
            self.resumed_gradients = checkpoint.get(GRADIENTS)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Adds the gradients that are accumulated at present, where the optimiser is saved too.

        Args:
            runner (Runner): The runner of the training process.
            checkpoint (dict): The checkpoint; it is changed in place.
        """
        if 'optimizer' in checkpoint and self.gradients:
            checkpoint[GRADIENTS] = self.gradients

    def before_train(self, runner: Runner) -> None:
        """Makes room for checkpoints before the first iteration.

        Args:
            runner (Runner): The runner of the training process.

        Raises:
            UserMistake: If the folder of the checkpoints cannot be written to, or if the disk has
                no room for one.
        """
        super().before_train(runner)
        self._forget_files_of_others(runner)
        if self.resumed_gradients:
            set_gradients(runner.model, self.resumed_gradients)
            self.resumed_gradients = None
        if self.is_local and is_main_process():
            check_output_folder(self.out_dir)
            remove_unfinished(self.out_dir)
            check_free_space(self.out_dir, checkpoint_size(runner, self.save_optimizer))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        name = self.filename_tmpl.format(step)
        path = self.file_backend.join_path(self.out_dir, name)
        if self.max_keep_ckpts > 0:
            steps = [kept for kept in self.keep_ckpt_ids if kept != step] + [step]
            # With the expired ones: if this run dies before it removes them, the next one does.
            runner.message_hub.update_info('keep_ckpt_ids', steps)
        runner.message_hub.update_info('last_ckpt', path)
        self.gradients = accumulated_gradients(runner)
        with _explained(runner.work_dir):
            runner.save_checkpoint(
                self.out_dir,
                name,
                self.file_client_args,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                set_last_checkpoint(runner.work_dir, path)
        self.last_ckpt = path
        if self.max_keep_ckpts > 0:
            for expired in steps[: -self.max_keep_ckpts]:
                expired_name = self.filename_tmpl.format(expired)
                self._remove(self.file_backend.join_path(self.out_dir, expired_name))
            self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        if not self.save_best:
            return
        previous = self._best_checkpoints()
        # MMEngine removes what it finds here before it writes the better one.
        self._set_best_checkpoints(dict.fromkeys(previous))
        with _explained(runner.work_dir):
            super()._save_best_checkpoint(runner, metrics)
        better = self._best_checkpoints()
        self._set_best_checkpoints({key: better[key] or previous[key] for key in previous})
        for key, path in previous.items():
            if path and better[key] and better[key] != path:
                self._remove(path)

    def _best_checkpoints(self) -> dict[str, str | None]:
        if len(self.key_indicators) == 1:
            return dict(best=self.best_ckpt_path)
        return dict(self.best_ckpt_path_dict)

    def _set_best_checkpoints(self, paths: dict[str, str | None]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = paths['best']
        else:
            self.best_ckpt_path_dict = paths

    def _remove(self, path: str) -> None:
        if is_main_process() and self._is_own(path) and self.file_backend.isfile(path):
            self.file_backend.remove(path)

    def _is_own(self, path: str) -> bool:
        """Tells whether a file lies in this run's folder under a name that this hook gives.

        Paths of earlier checkpoints come from the checkpoint that was resumed, which may say
        anything.
        """
        folder, _, name = str(path).replace('\\', '/').rpartition('/')
        step = re.sub(r'\\\{[^}]*\}', r'\\d+', re.escape(self.filename_tmpl))
        # Until the first validation 'auto' stands for the first metric that there will be.
        keys = getattr(self, 'key_indicators', None) or []
        best = '|'.join(
            r'[^/]+' if key == 'auto' else re.escape(key.replace('/', '_')) for key in keys
        )
        if not re.fullmatch(rf'(best_({best})_)?{step}', name):
            return False
        if not self.is_local:
            return folder == str(self.out_dir).rstrip('/')
        return Path(folder).resolve() == Path(self.out_dir).resolve()

    def _forget_files_of_others(self, runner: Runner) -> None:
        """Lets a resumed run know no best checkpoint that is not its own."""
        if not self.save_best:
            return
        known = self._best_checkpoints()
        own = {key: path if path and self._is_own(path) else None for key, path in known.items()}
        self._set_best_checkpoints(own)


def save_atomically(cfg: Config) -> None:
    """Replaces MMEngine's checkpoint hook in a config by :class:`AtomicCheckpointHook`.

    A checkpoint hook of another class stays.

    Args:
        cfg (Config): The config of a training run; it is changed in place.
    """
    cfg.default_hooks = cfg.get('default_hooks') or {}
    hooks = cfg.default_hooks
    # What MMEngine saves by where the config does not say it.
    hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
    for hook in [*hooks.values(), *(cfg.get('custom_hooks') or ())]:
        if type_of(hook, HOOKS) is CheckpointHook:
            set_type(hook, 'AtomicCheckpointHook')


def set_last_checkpoint(work_dir: str, path: str) -> None:
    """Names the checkpoint that ``--resume`` continues from.

    Args:
        work_dir (str): The work directory of the run.
        path (str): A complete checkpoint.
    """
    write_atomically(path.encode(), Path(work_dir) / LAST_CHECKPOINT)


def check_output_folder(folder: str) -> None:
    """Checks that files can be written to a folder, and makes it if it is missing.

    Args:
        folder (str): The work directory of a run, or where its checkpoints go.

    Raises:
        UserMistake: If it cannot be made or written to.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b'test')
    except OSError as error:
        raise UserMistake(
            f'the folder {folder} cannot be written to ({error.strerror}); make room, correct its '
            'permissions, or give another one by --work-dir'
        ) from error


def check_free_space(folder: str, needed: int) -> None:
    """Checks that a checkpoint fits on the disk.

    Args:
        folder (str): The folder of the checkpoints.
        needed (int): The size of a checkpoint in bytes.

    Raises:
        UserMistake: If less is free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserMistake(
            f'{folder} has {_megabytes(free)} left, and one checkpoint of this model takes '
            f'{_megabytes(needed)}; make room, or give another folder by --work-dir'
        )


def checkpoint_size(runner: Runner, save_optimizer: bool = True) -> int:
    """Estimates the size of a checkpoint from the weights and what the optimiser keeps of each.

    Optimisers with ``betas``, such as AdamW, keep two numbers per weight, and those with
    ``momentum`` keep one. The rest of a checkpoint is small.

    Args:
        runner (Runner): The runner of the training process.
        save_optimizer (bool): Whether the state of the optimiser is saved too. Default: True.

    Returns:
        int: The size in bytes.
    """
    weights = sum(weight.nbytes for weight in runner.model.parameters())
    copies = 1 + sum(isinstance(hook, EMAHook) for hook in runner.hooks)
    groups = runner.optim_wrapper.param_groups if save_optimizer else []
    if isinstance(groups, dict):  # Several optimisers, by name.
        groups = [group for named in groups.values() for group in named]
    state = 0
    for group in groups:
        kept = 2 if 'betas' in group else 1 if group.get('momentum') else 0
        state += kept * sum(weight.nbytes for weight in group['params'])
    return copies * weights + state


@contextmanager
def _explained(work_dir: str) -> Iterator[None]:
    """Turns the failure to write a checkpoint into a sentence that says what there is instead."""
    try:
        yield
    except OSError as error:
        note = Path(work_dir) / LAST_CHECKPOINT
        saved = f'{note.read_text()} is complete' if note.is_file() else 'nothing was saved before'
        raise UserMistake(
            f'{error.filename or "a checkpoint"} could not be written ({error.strerror}), and '
            f'{saved}; make room or correct the permissions, and continue with --resume'
        ) from error


def _megabytes(size: int) -> str:
    return f'{size / 1e6:.1f} MB'
