"""Two tiny models behind the page's server."""

import warnings

import pytest
import torch
from tiny_run import write_workspace

import segheads


@pytest.fixture(scope='session')
def served(tmp_path_factory):
    """One model that counts as trained, and one with random weights and other classes."""
    pytest.importorskip('fastapi')
    from segheads.web.app import ServedModel

    folder = write_workspace(tmp_path_factory.mktemp('workspace'))
    torch.manual_seed(0)
    models = []
    for label, checkpoint in (('first', 'first.pth'), ('second', None)):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            model = segheads.load(folder / 'tiny.py', device='cpu')
        torch.nn.init.normal_(model.decode_head.conv_seg.weight)
        models.append(ServedModel(label, model, checkpoint))
    models[1].model.dataset_meta = dict(
        classes=['ground', 'tree', 'cow'], palette=[[10, 20, 30], [0, 200, 0], [200, 0, 0]]
    )
    return models


@pytest.fixture
def client(served):
    from fastapi.testclient import TestClient

    from segheads.web.app import LOOPBACK, create_app

    # Inside `with`, all requests share one event loop, as they do in uvicorn.
    with TestClient(create_app(served, [*LOOPBACK, 'testserver'])) as client:
        yield client
