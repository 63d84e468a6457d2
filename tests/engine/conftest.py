"""A workspace for the checks that come before a run."""

import pytest
from tiny_run import forget_visualizers, write_workspace

from segheads.engine.configuration import load_config


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield write_workspace(tmp_path)
    forget_visualizers()


@pytest.fixture
def cfg(workspace):
    return load_config('tiny.py')
