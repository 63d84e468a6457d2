"""A training from a config to its last checkpoint."""

import contextlib
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from segheads import ranks
from segheads.checkpoints import trust_checkpoints
from segheads.checkpoints.fit import check_checkpoint_file
from segheads.checkpoints.pretrained import pretrained_parts
from segheads.configs.forms import check_forms
from segheads.configs.loading import default_work_dir, load_config, require_keys
from segheads.configs.preflight import check_data, check_modules
from segheads.configs.pretrained import check_pretrained
from segheads.configs.signatures import check_arguments
from segheads.data.damage import skip_damaged_samples
from segheads.registered_types import is_type

from . import processes
from .compilation import request_compilation
from .console import build_runner, live_line_ended
from .failures import batches_told, told_by_key
from .fine_tuning import FineTuneHook, start_from_other_classes
from .interruption import ending_on_signals
from .memory_format import request_channels_last
from .precision import choose_precision
from .rehearsal import check_loops, rehearse
from .resumable_loop import use_resumable_loop
from .resuming import latest_checkpoint
from .saving import check_output_folder, save_atomically, set_last_checkpoint
from .unused_parameters import allow_unused_parameters

NEEDED = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')


def train(
    config: str,
    *,
    work_dir: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    resume: bool = False,
    fine_tune: str | None = None,
    mixed_precision: bool = False,
    compiled: bool = False,
    channels_last: str = 'auto',
    allow_partial: bool = False,
    launcher: str = 'none',
    local_rank: int | None = None,
    trusted: bool = False,
    verbose: bool = False,
    rehearsed: bool = True,
    skip_damaged: bool = False,
) -> Runner:
    """Trains a model.

    Args:
        config (str): A config file, or a name of :func:`segheads.list_models`.
        work_dir (str | None): Where logs and checkpoints are written; None for that of the config,
            else ``work_dirs/NAME_OF_CONFIG_FILE``. Default: None.
        cfg_options (Mapping | None): Settings of the config to override, by dotted keys.
            Default: None.
        resume (bool): Whether to continue from the latest checkpoint in the work directory.
            Default: False.
        fine_tune (str | None): A checkpoint to start from, without its classifiers. Default: None.
        mixed_precision (bool): Whether to train in mixed precision. Default: False.
        compiled (bool): Whether to compile the networks. Default: False.
        channels_last (str): Whether the channels of maps are last in memory: 'on', 'off', or 'auto'
            for what is faster on a GPU in mixed precision. Default: 'auto'.
        allow_partial (bool): Whether pretrained weights and ``load_from`` may leave weights of the
            model random. Default: False.
        launcher (str): What started the processes: 'none', 'pytorch', 'slurm' or 'mpi'.
            Default: 'none'.
        local_rank (int | None): What old launchers pass as ``--local_rank``. Default: None.
        trusted (bool): Whether checkpoints may run code. Default: False.
        verbose (bool): Whether the whole log goes to the console too. Default: False.
        rehearsed (bool): Whether to go through the run in small first. Default: True.
        skip_damaged (bool): Whether to read all images and masks first, and to go on without those
            that are damaged. Default: False.

    Returns:
        Runner: The runner after training; it holds the model.

    Raises:
        UserMistake: If anything in the arguments, the config or the data is wrong.
        Interrupted: If a signal ended the run; a checkpoint has been written then.
    """
    processes.check_launcher(launcher, local_rank)
    cfg = load_config(config, cfg_options)
    with trust_checkpoints(trusted), ending_on_signals():
        with contextlib.nullcontext() if verbose else told_by_key(cfg):
            require_keys(cfg, NEEDED)
            cfg.launcher = launcher
            cfg.work_dir = work_dir or cfg.get('work_dir') or default_work_dir(config)
            cfg.resume = resume
            if fine_tune:
                start_from_other_classes(cfg, fine_tune)
            if skip_damaged:
                skip_damaged_samples(cfg)
            prepare(cfg, mixed_precision, compiled, channels_last, allow_partial, rehearsed)
            runner = build_runner(cfg, verbose)
        with live_line_ended(runner), batches_told():
            runner.train()
    return runner


def prepare(
    cfg: Config,
    mixed_precision: bool = False,
    compiled: bool = False,
    channels_last: str = 'auto',
    allow_partial: bool = False,
    rehearsed: bool = True,
) -> None:
    """Checks a config, rehearses the run, and completes it for the Runner.

    Args:
        cfg (Config): The config of the run, with ``work_dir``, ``launcher`` and ``resume``; it is
            changed in place.
        mixed_precision (bool): Whether to train in mixed precision. Default: False.
        compiled (bool): Whether to compile the networks. Default: False.
        channels_last (str): Whether the channels are last in memory: 'auto', 'on' or 'off'.
            Default: 'auto'.
        allow_partial (bool): Whether weights may be left random. Default: False.
        rehearsed (bool): Whether to go through the run in small. Default: True.

    Raises:
        UserMistake: If anything in the config or the data is wrong.
    """
    check_forms(cfg)
    check_loops(cfg)
    check_arguments(cfg)
    check_modules(cfg)
    checkpoint = cfg.get('load_from')
    if checkpoint:
        check_checkpoint_file(checkpoint)
    elif cfg.resume:
        checkpoint = latest_checkpoint(cfg.work_dir)
    check_pretrained(cfg.model, checkpoint)
    is_first = ranks.local_rank() == 0
    check_data(cfg, ('train', 'val'), read_masks=is_first)
    check_output_folder(cfg.work_dir)
    if cfg.resume and checkpoint and not cfg.get('load_from') and is_first:
        # The Runner reads there what to resume from.
        set_last_checkpoint(cfg.work_dir, checkpoint)

    choose_precision(cfg, mixed_precision)
    save_atomically(cfg)
    use_resumable_loop(cfg)
    request_compilation(cfg, compiled)
    request_channels_last(cfg, channels_last)
    if cfg.resume and checkpoint:
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='SameRunHook')]
    elif not allow_partial:
        require_fit(cfg)
    if rehearsed and is_first:
        allow_unused_parameters(cfg, rehearse(cfg))
    processes.prepare_processes(cfg)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='InterruptionHook')]


def require_fit(cfg: Config) -> None:
    """Lets a run refuse weights that leave a part of the model random.

    Args:
        cfg (Config): The config of the run; it is changed in place.
    """
    hooks = list(cfg.get('custom_hooks') or [])
    starts_anew = any(is_type(hook, HOOKS, FineTuneHook) for hook in hooks)
    if cfg.get('load_from') and not starts_anew:
        hooks.append(dict(type='CheckpointFitHook'))
    elif named := list(pretrained_parts(cfg.model)):
        hooks.append(dict(type='PretrainedFitHook', named=named))
    cfg.custom_hooks = hooks
