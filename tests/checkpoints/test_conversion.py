"""Released checkpoints are recognised by their names and written in ours."""

from pathlib import Path

import pytest
import torch
from head_cases import HEADS
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from nvidia_mit import in_nvidias_names
from tiny_run import command, sentence
from torch import Tensor, nn

from segheads.checkpoints import CheckpointError, read_checkpoint
from segheads.checkpoints.conversion import convert_weights
from segheads.checkpoints.recognition import OURS, Recognised, recognise

run_convert = command('convert')
METHODS = {
    'ccaseg-mit': 'CCASeg',
    'ccaseg-mscan': 'CCASeg',
    'cgrseg': 'CGRSeg',
    'ccsnet': 'CCSNet',
    'pcaa': 'PCAA',
    'pcaa-stages': 'PCAA',
}
CLASSES = dict(classes=['road', 'sky'], palette=[[1, 2, 3], [4, 5, 6]])


def head_of(case: str) -> nn.Module:
    head = HEADS[case].build().eval()
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.1)
    return head


def release(case: str, head: nn.Module) -> dict[str, Tensor]:
    """Gives a head's weights the names that the authors' files have."""
    prefix = 'module.head.' if METHODS[case] == 'PCAA' else 'decode_head.'
    return {
        prefix + head.released_keys.released_key(name): weight
        for name, weight in head.state_dict().items()
    }


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('case', METHODS)
def test_a_converted_head_computes_the_same(
    case: str, suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    head = head_of(case)
    source, target = tmp_path / 'released.pth', tmp_path / f'ours{suffix}'
    torch.save(dict(state_dict=release(case, head), meta=dict(dataset_meta=CLASSES)), source)
    run_convert([str(source), str(target)])
    told = capsys.readouterr().out
    assert f'is {METHODS[case]}, its names as released' in told

    fresh = nn.ModuleDict(dict(decode_head=HEADS[case].build())).eval()
    names = set(fresh.state_dict())
    checkpoint = load_checkpoint(fresh, str(target), strict=True)
    assert set(checkpoint['state_dict']) == names
    assert checkpoint['meta']['dataset_meta'] == CLASSES
    inputs = [HEADS[case].inputs(1, 64, 96)]
    if METHODS[case] == 'CCSNet':
        inputs.append(torch.randn(1, head.num_classes, 4, 6))  # logits of the stage before
    with torch.no_grad():
        assert torch.equal(head(*inputs), fresh['decode_head'](*inputs))

    assert convert_weights(checkpoint['state_dict'])[1] == Recognised(METHODS[case], False)


def test_pcaas_own_encoder_and_auxiliary_branch_are_translated() -> None:
    weights = {
        **{f'module.{name}': torch.ones(1) for name in ('backbone.conv1.weight', 'dsn.0.weight')},
        **release('pcaa', head_of('pcaa')),
    }
    converted, _ = convert_weights({name[7:]: weight for name, weight in weights.items()})
    assert 'backbone.conv1.weight' in converted
    assert 'auxiliary_head.convs.0.conv.weight' in converted


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_mit_is_translated_alone_and_in_a_model(prefix: str) -> None:
    encoder = MODELS.build(
        dict(type='MixVisionTransformer', embed_dims=8, num_layers=[2, 1, 1, 1], num_heads=[1] * 4)
    )
    weights = {prefix + name: weight for name, weight in in_nvidias_names(encoder).items()}
    if prefix:
        weights |= release('ccaseg-mit', head_of('ccaseg-mit'))
    converted, recognised = convert_weights(weights)
    assert recognised == Recognised('CCASeg' if prefix else 'MiT', True)
    for name, weight in encoder.state_dict().items():
        assert torch.equal(converted[prefix + name], weight), name


def test_efficientformer_is_translated() -> None:
    encoder = MODELS.build(dict(type='EfficientFormerV2', arch='S0'))
    released = {}
    for name, weight in encoder.state_dict().items():
        is_scale = name.endswith('.gamma')
        name = encoder.released_keys.released_key(name)
        released[name] = weight[:, None, None] if is_scale else weight
    released |= {'head.weight': torch.ones(1), 'norm.weight': torch.ones(1)}
    converted, recognised = convert_weights(released)
    assert recognised == Recognised('EfficientFormerV2', True)
    assert set(converted) == set(encoder.state_dict())
    assert all(torch.equal(converted[n], w) for n, w in encoder.state_dict().items())


def test_every_method_is_recognised_by_our_names() -> None:
    methods = {
        recognise(f'decode_head.{name}' for name in case.build().state_dict()).method
        for case in HEADS.values()
    }
    assert methods == {'CCASeg', 'CGRSeg', 'CCSNet', 'PCAA', 'SASFormer'} <= set(OURS)


def test_another_method_is_refused(tmp_path: Path) -> None:
    names = ['backbone.conv1.weight', 'decode_head.linear_c1.proj.weight']
    with pytest.raises(CheckpointError, match='decode_head.linear_c1') as refused:
        recognise(names)
    assert 'is of none of CCASeg, CGRSeg, CCSNet, PCAA, SASFormer, MiT' in str(refused.value)
    torch.save({name: torch.ones(1) for name in names}, tmp_path / 'other.pth')
    told = sentence(run_convert, [str(tmp_path / 'other.pth'), str(tmp_path / 'out.pth')])
    assert told.startswith(f'{tmp_path}/other.pth cannot be converted: it is of none of')


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    torch.save(release('ccsnet', head_of('ccsnet')), tmp_path / 'in.pth')
    for target, reason in {
        'in.pth': 'exists already',
        'out.onnx': 'must end in .pth or .safetensors',
        'missing/out.pth': 'does not exist; create it first',
    }.items():
        with pytest.raises((ValueError, FileNotFoundError), match=reason):
            run_convert([str(tmp_path / 'in.pth'), str(tmp_path / target)])
    assert read_checkpoint(tmp_path / 'in.pth')
    assert [path.name for path in tmp_path.iterdir()] == ['in.pth']
