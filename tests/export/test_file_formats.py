import importlib.util
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from exported_models import FCN, build_segmentor
from mmseg.registry import MODELS
from round_trip import images, require_same_class_maps, set_way
from test_any_encoder import COMMON, ENCODERS, HEADS
from tiny_run import ROOT, sentence
from torch import Tensor, nn

import segheads
from segheads.export.comparison import compare
from segheads.export.deployed_model import DeployedModel
from segheads.export.file_formats import FILE_FORMATS, load, write
from segheads.runtime.networks import installed_runtimes

needs_torch_export = pytest.mark.skipif(
    not hasattr(torch.compiler, 'is_exporting'), reason='needs PyTorch 2.7'
)
# Those of `local_configs`.
RELEASED_ENCODERS = ('MiT', 'MSCAN', 'EfficientFormerV2', 'ResNet v1c, dilated', 'Swin')
# A head for each, as they were released.
RELEASED_HEADS = ('SASFormer', 'CCASeg', 'CGRSeg', 'PCAA', 'CCSNet')
TRACED_ENCODERS = (*RELEASED_ENCODERS, 'ConvNeXt of timm', 'MobileNetV3 of timm')
EXPORTED_HEADS = {
    **HEADS,
    # Three levels for four: half the graph, and no operator less.
    'CCASeg': dict(COMMON, type='CCASegHead', in_index=[1, 2, 3], num_blocks=1),
    'PCAA': dict(COMMON, type='PCAAHead', in_index=1),
}


def require_agreement(model: DeployedModel, file_format: str, folder: Path) -> Path:
    """Export, load and compare."""
    path = folder / f'model{FILE_FORMATS[file_format].suffix}'
    set_way(model.segmentor, 'whole')
    write(model, file_format, path)
    for runtime in installed_runtimes(path):
        for difference in compare(model, load(model, path, runtime)):
            assert difference.is_small, (runtime, difference)
    return path


@needs_torch_export
@pytest.mark.parametrize('head', EXPORTED_HEADS)
def test_heads_as_onnx(head: str, tmp_path: Path) -> None:
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(package)
    # What is optional takes part here and there.
    model = DeployedModel(
        # With this encoder a runtime that mixes up sizes is seen to.
        build_segmentor(EXPORTED_HEADS[head], ENCODERS['MiT'] if head == 'SASFormer' else None),
        with_preprocessing=head in ('CCASeg', 'PCAA'),
        with_argmax=head in ('CCSNet', 'PCAA'),
    )
    path = require_agreement(model, 'onnx', tmp_path)
    require_same_class_maps(model, path, runtime='onnxruntime')
    if importlib.util.find_spec('openvino'):
        require_same_class_maps(model, path, runtime='openvino')


@needs_torch_export
def test_snippet_of_the_docs_page_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    model = DeployedModel(build_segmentor(), with_preprocessing=True, with_argmax=True)
    write(model, 'onnx', Path('model.onnx'))
    image = model.example(1, 90, 131)
    cv2.imwrite('street.png', image[0].permute(1, 2, 0).numpy())
    page = (ROOT / 'docs' / 'export.md').read_text(encoding='utf-8')
    variables = {}
    exec(re.search(r'```python\n(import cv2.*?)```', page, re.DOTALL)[1], variables)
    assert capsys.readouterr().out == '(1, 90, 131)\n'
    differ = torch.from_numpy(variables['classes']) != model(image)
    assert differ.float().mean() < 0.001


@pytest.mark.parametrize('head', EXPORTED_HEADS)
def test_heads_as_torchscript(head: str, tmp_path: Path) -> None:
    model = DeployedModel(build_segmentor(EXPORTED_HEADS[head]))
    require_same_class_maps(model, require_agreement(model, 'torchscript', tmp_path))


@needs_torch_export
@pytest.mark.parametrize('encoder, head', list(zip(RELEASED_ENCODERS, RELEASED_HEADS, strict=True)))
def test_encoders_and_heads_as_torch_export(encoder: str, head: str, tmp_path: Path) -> None:
    if encoder == 'EfficientFormerV2':
        pytest.importorskip('timm')
    model = DeployedModel(build_segmentor(EXPORTED_HEADS[head], ENCODERS[encoder]))
    require_same_class_maps(model, require_agreement(model, 'torch_export', tmp_path))


@needs_torch_export
def test_openvino_folder(tmp_path: Path) -> None:
    pytest.importorskip('openvino')
    head = dict(FCN, num_classes=2, out_channels=1, threshold=0.5)
    model = DeployedModel(build_segmentor(head), with_argmax=True)
    path = require_agreement(model, 'openvino', tmp_path)
    require_same_class_maps(model, path)
    assert {file.name for file in path.iterdir()} == {'model.xml', 'model.bin', 'segheads.json'}


@pytest.mark.parametrize('with_argmax', [False, True])
def test_padding_is_part_of_the_preprocessing(with_argmax: bool, tmp_path: Path) -> None:
    segmentor = build_segmentor()
    set_way(segmentor, 'padded')
    model = DeployedModel(segmentor, with_preprocessing=True, with_argmax=with_argmax)
    write(model, 'torchscript', tmp_path / 'model.torchscript')
    exported = segheads.load(tmp_path / 'model.torchscript', device='cpu')
    for image in images():
        expected = segheads.predict(segmentor, image)
        assert np.array_equal(segheads.predict(exported, image), expected)
    set_way(segmentor, 'resized, padded, windows')
    assert 'none under sliding windows' in sentence(DeployedModel, segmentor, True)


def test_classes_without_logits_cannot_be_resized(tmp_path: Path) -> None:
    segmentor = build_segmentor()
    set_way(segmentor, 'resized')
    write(DeployedModel(segmentor, with_argmax=True), 'torchscript', tmp_path / 'a.torchscript')
    exported = segheads.load(tmp_path / 'a.torchscript', device='cpu')
    told = sentence(segheads.predict, exported, images()[1])
    assert 'export it without --with-argmax' in told


@pytest.mark.parametrize('encoder', TRACED_ENCODERS)
def test_encoders_as_torchscript(encoder: str, tmp_path: Path) -> None:
    if ENCODERS[encoder]['type'] in ('EfficientFormerV2', 'TIMMBackbone'):
        pytest.importorskip('timm')
    model = DeployedModel(build_segmentor(backbone=ENCODERS[encoder]))
    require_agreement(model, 'torchscript', tmp_path)


@MODELS.register_module()
class BranchingEncoder(nn.Module):
    """An encoder that looks at values, which no exported program can express."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Encode."""
        x = self.conv(x)
        return [x if x.mean() > 0 else -x]


@needs_torch_export
def test_says_what_cannot_be_exported(tmp_path: Path) -> None:
    model = DeployedModel(build_segmentor(backbone=dict(type='BranchingEncoder')))
    text = sentence(write, model, 'torch_export', tmp_path / 'model.pt2')
    assert text.startswith('the model cannot be exported as torch_export for all sizes: ')


@pytest.mark.parametrize('package', ['onnx', 'onnxscript', 'onnxruntime'])
def test_says_which_package_is_missing(package: str, tmp_path: Path, monkeypatch) -> None:
    for other in ('onnx', 'onnxscript', 'onnxruntime'):
        monkeypatch.setitem(sys.modules, other, None if other == package else object())
    text = sentence(write, DeployedModel(build_segmentor()), 'onnx', tmp_path / 'model.onnx')
    assert f'--format onnx needs the package {package}; run `pip install' in text
