"""Processes that a test may kill, without the seconds that importing PyTorch takes.

They are forks of a server process that has imported everything and run nothing: forks of the
test process itself would inherit what other tests have left in it, such as half-used threads.
"""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import torch

context = multiprocessing.get_context('forkserver')
context.set_forkserver_preload(['segheads', 'mmseg.datasets', 'mmseg.evaluation'])


def start(function: Callable, *arguments: Any) -> BaseProcess:
    """Calls a function of a test module in a new process, in the current folder.

    Args:
        function (Callable): The function.
        arguments (Any): Its arguments.

    Returns:
        BaseProcess: The running process.
    """
    process = context.Process(target=_call, args=(os.getcwd(), function, *arguments))
    process.start()
    return process


def _call(folder: str, function: Callable, *arguments: Any) -> None:
    torch.set_num_threads(1)
    os.chdir(folder)
    function(*arguments)
