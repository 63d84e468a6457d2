"""Distributed runs on machines without a GPU, which MMEngine's launchers do not foresee."""

import datetime
import gc
import os
import subprocess
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmseg.registry import MODELS
from torch import distributed
from torch.nn import SyncBatchNorm

from segheads.mistakes import UserMistake
from segheads.ranks import local_rank
from segheads.registered_types import is_type, set_type

from .last_words import end_with_others
from .unused_parameters import agree_on_unused_parameters

# The first process to end waits for the last one.
SECONDS_OF_A_MONTH = 30 * 24 * 60 * 60.0
RANK_VARIABLES = {'pytorch': 'RANK', 'slurm': 'SLURM_PROCID', 'mpi': 'OMPI_COMM_WORLD_RANK'}


def check_launcher(launcher: str, given_local_rank: int | None = None) -> None:
    """Checks that the launcher started this process and that there is a GPU for it.

    Args:
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.
        given_local_rank (int | None): What old launchers pass as ``--local_rank``; it counts where
            no variable says it.

    Raises:
        UserMistake: If the launcher's variables are missing, or if there are fewer GPUs than
            processes on this machine.
    """
    if launcher == 'none':
        return
    if given_local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(given_local_rank))
    if RANK_VARIABLES[launcher] not in os.environ:
        raise UserMistake(
            f'--launcher {launcher} expects to be started by it, but the variable '
            f'{RANK_VARIABLES[launcher]} is not set; use `segheads train --processes N`, '
            'tools/dist_*.sh or tools/slurm_*.sh, or leave --launcher out to run in one process'
        )
    if get_device() == 'cuda' and local_rank() >= torch.cuda.device_count():
        raise UserMistake(
            f'at least {local_rank() + 1} processes were started on this machine, which has '
            f'{torch.cuda.device_count()} GPU(s); start one process per GPU, or set '
            'CUDA_VISIBLE_DEVICES=-1 to use the CPU'
        )


def prepare_processes(cfg: Config) -> None:
    """Makes a config run in several processes on the device that the machine has.

    All of them end when one of them ends by a sentence, and they agree on whether to look for
    parameters without a gradient. On a CPU the process group uses gloo, the model is wrapped
    without device ids, and synchronised batch norm, which PyTorch has for GPUs only, becomes batch
    norm. One process alone needs nothing: MMEngine's Runner reverts synchronised batch norm itself.

    Args:
        cfg (Config): The config of the run, ``cfg.launcher`` included; it is changed in place.
    """
    if cfg.launcher == 'none':
        return
    # MMEngine reads it to choose the GPU, but sets it for slurm only.
    os.environ['LOCAL_RANK'] = str(local_rank())
    end_with_others()
    agree_on_unused_parameters(cfg)
    if get_device() != 'cpu':
        return
    replace_sync_batch_norm(cfg.model)
    cfg.model_wrapper_cfg = dict(cfg.model_wrapper_cfg, device_ids=None)
    join_process_group(cfg.launcher, cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout'))


def replace_sync_batch_norm(cfg: dict | list | tuple) -> None:
    """Replaces synchronised batch norm by ``type='BN'`` everywhere in a nested config, in place.

    Args:
        cfg (dict | list | tuple): Any part of a config.
    """
    if is_type(cfg, MODELS, SyncBatchNorm):
        set_type(cfg, 'BN')
    for child in cfg.values() if isinstance(cfg, dict) else cfg:
        if isinstance(child, (dict, list, tuple)):
            replace_sync_batch_norm(child)


def join_process_group(launcher: str, timeout: float | None = None) -> None:
    """Joins the processes of a run on CPUs into one gloo group.

    MMEngine would choose a CUDA device first, whatever the backend, and fail without a driver.
    It leaves a group alone that exists already.

    Args:
        launcher (str): 'pytorch', 'slurm' or 'mpi'.
        timeout (float | None): Seconds that a collective operation may take; None for PyTorch's
            default.
    """
    if distributed.is_initialized():
        return
    variables = os.environ
    if launcher == 'slurm':
        variables['RANK'] = variables['SLURM_PROCID']
        variables['WORLD_SIZE'] = variables['SLURM_NTASKS']
        if 'MASTER_ADDR' not in variables:
            variables['MASTER_ADDR'] = _first_slurm_host(variables['SLURM_NODELIST'])
    elif launcher == 'mpi':
        variables['RANK'] = variables['OMPI_COMM_WORLD_RANK']
        variables['WORLD_SIZE'] = variables['OMPI_COMM_WORLD_SIZE']
    variables.setdefault('MASTER_ADDR', '127.0.0.1')
    variables.setdefault('MASTER_PORT', '29500')
    limit = {} if timeout is None else dict(timeout=datetime.timedelta(seconds=timeout))
    distributed.init_process_group('gloo', **limit)


def join_independent(launcher: str, given_local_rank: int | None = None) -> tuple[int, int]:
    """Joins processes that share out work, and meet at its beginning and its end only.

    Args:
        launcher (str): As for :func:`check_launcher`.
        given_local_rank (int | None): As for :func:`check_launcher`. Default: None.

    Returns:
        tuple[int, int]: Which of them this one is, and how many there are.

    Raises:
        UserMistake: As :func:`check_launcher`.
    """
    check_launcher(launcher, given_local_rank)
    if launcher == 'none':
        return 0, 1
    join_process_group(launcher, SECONDS_OF_A_MONTH)
    end_with_others()
    distributed.barrier()
    return distributed.get_rank(), distributed.get_world_size()


def own_device() -> str | None:
    """Returns the GPU of this process; None if the process is alone, or if there is no GPU."""
    if not distributed.is_initialized() or get_device() != 'cuda':
        return None
    return f'cuda:{local_rank()}'


def gather(items: Sequence[Any]) -> list[Any]:
    """Collects what the processes of a run have found; it waits for all of them.

    Args:
        items (Sequence): What this process has found; anything that can be pickled.

    Returns:
        list: What all have found, in every process; that of this one where there is no other.
    """
    if not distributed.is_initialized():
        return list(items)
    found: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(found, list(items))
    return [item for each in found for item in each]


def leave_process_group() -> None:
    """Leaves the group that the processes of a run have joined.

    A process that ends without it may be aborted by a thread of gloo's that still runs.
    """
    if distributed.is_available() and distributed.is_initialized():
        # gloo's threads end with the last reference to the group. The wrapped model holds one, and
        # is part of cycles.
        gc.collect()
        distributed.destroy_process_group()


def _first_slurm_host(nodes: str) -> str:
    command = ['scontrol', 'show', 'hostname', nodes]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
