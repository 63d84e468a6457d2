"""Train, export, load, predict, serve: every head, by the commands.

TorchScript is written in a moment, and the others take a quarter of a minute each: here each has
one head, and tests/export/test_file_formats.py the others.
"""

import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_run import command, forget_visualizers, write_workspace

import segheads
from segheads.export import exporting
from segheads.export.comparison import compare
from segheads.export.file_formats import FILE_FORMATS

ENCODER = 'backbone=dict(init_cfg=None)'
HEADS = {
    'CCASeg': '',
    'SASFormer': "type='SASFormerHead'",
    'CCSNet': "type='CCSNetHead', top_k=2",
    'CGRSeg': "type='CGRSegHead', in_index=[1, 2, 3], num_context_blocks=1",
    'PCAA': "type='PCAAHead', in_index=[1, 2, 3], input_transform='resize_concat', bins=((2, 2),)",
}
SLOW_FORMATS = {'CCASeg': ['onnx'], 'SASFormer': ['openvino'], 'CCSNet': ['torch_export']}
PNG = {'content-type': 'image/png'}
NEEDS = {'onnx': ('onnx', 'onnxscript', 'onnxruntime'), 'openvino': ('onnxscript', 'openvino')}


def config_of(head: str) -> str:
    """Return a config on `tiny.py`."""
    if head == 'CCASeg':
        return f"_base_ = 'tiny.py'\nmodel = dict({ENCODER})\n"
    common = 'channels=8, num_classes=3, norm_cfg=_base_.norm_cfg, align_corners=False'
    decode_head = f'dict(_delete_=True, {common}, {HEADS[head]})'
    kind = ''
    if head == 'CCSNet':
        coarse = f"dict({common}, type='FCNHead', in_index=2, num_convs=1, concat_input=False)"
        decode_head = f'[{coarse}, dict({common}, {HEADS[head]})]'
        kind = "type='LeanCascadeEncoderDecoder', num_stages=2, "
    return f"_base_ = 'tiny.py'\nmodel = dict({kind}{ENCODER}, decode_head={decode_head})\n"


@pytest.mark.parametrize('head', HEADS)
def test_from_training_to_the_page(head: str, tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip('fastapi')
    pytest.importorskip('httpx')
    from fastapi.testclient import TestClient

    from segheads.web.app import LOOPBACK, create_app
    from segheads.web.serving import load_models

    monkeypatch.chdir(write_workspace(tmp_path))
    Path('model.py').write_text(config_of(head))
    # All sizes are compared where the formats are tested.
    monkeypatch.setattr(exporting, 'compare', partial(compare, sizes=((2, 65, 97),)))
    command('train')(['model.py', '--work-dir', 'run'])
    forget_visualizers()
    checkpoint = 'run/iter_2.pth'
    photo = Path('data/images/val/0.png')
    expected = segheads.predict(segheads.load(checkpoint, device='cpu'), photo)

    exported = []
    for file_format in ['torchscript', *SLOW_FORMATS.get(head, [])]:
        if not all(map(importlib.util.find_spec, NEEDS.get(file_format, ()))):
            continue
        file = f'model{FILE_FORMATS[file_format].suffix}'
        command('export')(['model.py', checkpoint, '--format', file_format, '--out', file])
        exported.append(file)
        command('predict')([file, str(photo), '--out', file_format, '--device', 'cpu'])
        found = np.asarray(Image.open(Path(file_format, 'class_maps', '0.png')))
        assert (found != expected).mean() < 1e-3
        prediction = segheads.predict(segheads.load(file, device='cpu'), photo, probabilities=True)
        assert np.array_equal(prediction.class_map, found)
        np.testing.assert_allclose(prediction.probabilities.sum(0), 1, rtol=1e-5)

    served = load_models([checkpoint, *exported], 'cpu')
    client = TestClient(create_app(served, [*LOOPBACK, 'testserver']))
    answers = [
        client.post(f'/api/predict?model={number}', content=photo.read_bytes(), headers=PNG)
        for number in range(len(served))
    ]
    assert [answer.status_code for answer in answers] == [200] * (1 + len(exported))
    areas = np.array([answer.json()['areas'] for answer in answers])
    np.testing.assert_allclose(areas, areas[:1].repeat(len(areas), 0), atol=1e-3)
