"""MMSegmentation's own entry points work once a config imports segheads."""

import runpy
import sys
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmseg.apis import inference_model, init_model
from tiny_run import FROM_SCRATCH, forget_visualizers, write_workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    forget_visualizers()
    monkeypatch.chdir(write_workspace(tmp_path))
    return tmp_path


def test_stock_training_tool_then_init_model(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
    monkeypatch.setattr(sys, 'argv', [str(tool), 'tiny.py', '--work-dir', 'run', *FROM_SCRATCH])
    # It sets the variable for the processes that it expects to be started by.
    monkeypatch.setenv('LOCAL_RANK', '0')
    runpy.run_path(str(tool), run_name='__main__')
    checkpoint = workspace / 'run' / 'iter_2.pth'
    assert checkpoint.is_file()

    model = init_model('tiny.py', str(checkpoint), device='cpu')
    saved = torch.load(checkpoint, weights_only=True)['state_dict']
    assert all(torch.equal(saved[key], value) for key, value in model.state_dict().items())
    model.cfg.test_pipeline = model.cfg.test_dataloader.dataset.pipeline
    result = inference_model(model, np.zeros((40, 56, 3), dtype=np.uint8))
    assert result.pred_sem_seg.data.shape == (1, 40, 56)
