"""Settings of the whole test run."""

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope, init_default_scope
from mmengine.visualization import Visualizer
from tiny_run import forget_visualizers, write_workspace

from segheads.configs.loading import load_config
from segheads.losses.label_check import label_check

# Tiny tensors: more threads cost more than they give, and parallel workers would fight for cores.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fresh_mmengine() -> None:
    """Starts every test as a new process would: without what the run of an earlier one left.

    A run leaves its scope, in which types are looked up, a logger on a file that may be closed, and
    labels of which a GPU has not told yet whether they are right.
    """
    label_check.forget()
    for manager in (DefaultScope, MMLogger, MessageHub, Visualizer):
        manager._instance_dict.clear()
    init_default_scope('mmseg')


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A folder with a tiny config and its data, as the working directory."""
    monkeypatch.chdir(tmp_path)
    yield write_workspace(tmp_path)
    forget_visualizers()


@pytest.fixture
def cfg(workspace):
    """The tiny config."""
    return load_config('tiny.py')
