"""Checkpoints of every kind through the tools, and through MMSegmentation's own entry points."""

from pathlib import Path

import pytest
import torch
from hostile_files import Call
from mmengine.config import Config
from mmseg.apis import init_model
from nvidia_mit import in_nvidias_names
from tiny_run import FROM_SCRATCH, command, forget_visualizers, write_workspace
from torch import Tensor

from segheads.checkpoints import CheckpointError, read_checkpoint
from segheads.mistakes import UserMistake, sentence_for

run_train = command('train')
run_test = command('test')
run_convert = command('convert')
STILL = ['--cfg-options', 'optim_wrapper.optimizer.lr=0.0', 'train_cfg.val_interval=5']
SOURCE = 'work_dirs/tiny/iter_2.pth'


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = write_workspace(tmp_path_factory.mktemp('trained'))
    forget_visualizers()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        run_train(['tiny.py', *FROM_SCRATCH])
    return workspace


@pytest.fixture(autouse=True)
def workspace(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    forget_visualizers()
    monkeypatch.chdir(trained)
    return trained


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A trained checkpoint with a payload in it, which creates the file 'canary'."""
    content = torch.load(SOURCE, weights_only=False)
    content['meta']['payload'] = Call(Path.touch, Call(Path, str(tmp_path / 'canary')))
    torch.save(content, tmp_path / 'hostile.pth')
    return str(tmp_path / 'hostile.pth')


def test_no_tool_runs_a_hostile_checkpoint(hostile: str, tmp_path: Path) -> None:
    work = ['--work-dir', str(tmp_path / 'work')]
    options = [*FROM_SCRATCH, f'load_from={hostile}']
    encoder = ['--cfg-options', f'model.backbone.init_cfg.checkpoint={hostile}']
    for run in (
        lambda: run_test(['tiny.py', hostile, *work]),
        lambda: run_train(['tiny.py', *work, *options]),
        lambda: run_train(['tiny.py', '--resume', *work, *options]),
        lambda: run_train(['tiny.py', *work, *encoder]),
        lambda: run_train(['tiny.py', *work, *FROM_SCRATCH, '--fine-tune', hostile]),
        lambda: run_convert([hostile, str(tmp_path / 'out.pth')]),
        lambda: init_model('tiny.py', hostile, device='cpu'),
    ):
        forget_visualizers()
        with pytest.raises(CheckpointError, match='refers to pathlib.Path') as refused:
            run()
        assert '--trust-checkpoint' in sentence_for(refused.value)
        assert not (tmp_path / 'canary').exists()


def test_a_hostile_checkpoint_is_read_on_demand(hostile: str, tmp_path: Path) -> None:
    run_test(['tiny.py', hostile, '--trust-checkpoint', '--work-dir', str(tmp_path / 'work')])
    assert (tmp_path / 'canary').exists()


def test_resuming_does_not_run_the_config_of_an_old_checkpoint(tmp_path: Path) -> None:
    canary = tmp_path / 'canary'
    content = torch.load(SOURCE, weights_only=False)
    content['meta']['config'] = f'open({str(canary)!r}, "w").close()'
    torch.save(content, tmp_path / 'old.pth')
    options = [*FROM_SCRATCH, f'load_from={tmp_path / "old.pth"}', 'train_cfg.max_iters=3']
    work = ['--work-dir', str(tmp_path / 'work')]
    run_train(['tiny.py', '--resume', *work, *options, 'train_cfg.val_interval=9'])
    assert not canary.exists()


def parameters(path: str | Path) -> dict[str, Tensor]:
    """The weights that an optimizer without learning rate leaves alone."""
    weights = read_checkpoint(path)['state_dict']
    return {name: w for name, w in weights.items() if 'running' not in name and w.dim()}


def test_safetensors_are_read_everywhere(tmp_path: Path) -> None:
    target = tmp_path / 'weights.safetensors'
    run_convert([SOURCE, str(target)])
    expected = parameters(SOURCE)
    model = init_model('tiny.py', str(target), device='cpu')
    assert model.dataset_meta['classes'] == ['ground', 'wall', 'sky']
    assert all(torch.equal(model.state_dict()[name], w) for name, w in expected.items())

    run_test(['tiny.py', str(target), '--work-dir', str(tmp_path / 'test')])
    forget_visualizers()
    command = ['tiny.py', '--work-dir', str(tmp_path / 'train'), *STILL]
    run_train([*command, 'model.backbone.init_cfg=None', f'load_from={target}'])
    trained = parameters(tmp_path / 'train' / 'iter_2.pth')
    assert all(torch.equal(trained[name], w) for name, w in expected.items())

    forget_visualizers()
    init = ('checkpoint', str(target)), ('prefix', 'backbone.')
    run_train([*command, *(f'model.backbone.init_cfg.{key}={value}' for key, value in init)])
    trained = parameters(tmp_path / 'train' / 'iter_2.pth')
    for name, weight in expected.items():
        if name.startswith('backbone.'):
            assert torch.equal(trained[name], weight), name


def other_classes(path: Path, **changes: Tensor) -> str:
    """Writes the trained checkpoint as if it had 7 classes, in released names."""
    content = read_checkpoint(SOURCE)
    weights = content['state_dict']
    weights['decode_head.conv_seg.weight'] = torch.ones(7, 8, 1, 1)
    weights['decode_head.conv_seg.bias'] = torch.ones(7)
    weights |= changes
    head = init_model('tiny.py', device='cpu').decode_head
    prefix = 'decode_head.'
    released = {
        prefix + head.released_keys.released_key(name.removeprefix(prefix))
        if name.startswith(prefix)
        else name: weight
        for name, weight in weights.items()
    }
    torch.save(dict(state_dict=released), path)
    return str(path)


def test_fine_tuning_loads_all_but_the_classifier(tmp_path: Path) -> None:
    source = other_classes(tmp_path / 'seven.pth')
    run_train(['tiny.py', '--work-dir', str(tmp_path / 'work'), *STILL, '--fine-tune', source])
    log = max((tmp_path / 'work').glob('2*/2*.log')).read_text()
    assert 'every weight is loaded but those of decode_head.conv_seg, which start anew' in log
    trained, expected = parameters(tmp_path / 'work' / 'iter_2.pth'), parameters(SOURCE)
    for name, weight in trained.items():
        assert torch.equal(weight, expected[name]) != name.startswith('decode_head.conv_seg'), name


def test_fine_tuning_starts_a_new_classifier_for_as_many_classes(tmp_path: Path) -> None:
    command = ['tiny.py', '--work-dir', str(tmp_path / 'work'), *STILL, '--fine-tune', SOURCE]
    run_train(command)
    trained, expected = parameters(tmp_path / 'work' / 'iter_2.pth'), parameters(SOURCE)
    name = 'decode_head.conv_seg.weight'
    assert not torch.equal(trained.pop(name), expected.pop(name))
    trained.pop('decode_head.conv_seg.bias')
    assert all(torch.equal(weight, expected[name]) for name, weight in trained.items())


def test_fine_tuning_refuses_what_does_not_fit(tmp_path: Path) -> None:
    changes = {'backbone.layers.0.0.norm.bias': torch.ones(16)}
    source = other_classes(tmp_path / 'other.pth', **changes)
    command = ['tiny.py', '--work-dir', str(tmp_path / 'work'), '--fine-tune', source]
    with pytest.raises(UserMistake) as mistake:
        run_train(command)
    assert 'shape of backbone.layers.0.0.norm (16 vs 8); only classifiers' in str(mistake.value)
    with pytest.raises(UserMistake, match='--fine-tune starts a run and --resume continues one'):
        run_train([*command, '--resume'])


def test_a_released_checkpoint_of_a_whole_model(tmp_path: Path) -> None:
    """NVIDIA's names in the encoder, the authors' in the head, wrapped as training left it."""
    model = init_model('tiny.py', device='cpu')
    released = {f'backbone.{n}': w for n, w in in_nvidias_names(model.backbone).items()}
    for name, weight in model.decode_head.state_dict().items():
        released[f'decode_head.{model.decode_head.released_keys.released_key(name)}'] = weight
    content = dict(model={f'module.{name}': weight for name, weight in released.items()}, epoch=1)
    torch.save(content, tmp_path / 'released.pth')
    run_test(['tiny.py', str(tmp_path / 'released.pth'), '--work-dir', str(tmp_path / 'work')])
    loaded = init_model('tiny.py', str(tmp_path / 'released.pth'), device='cpu')
    for name, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight), name
    assert Config.fromfile(tmp_path / 'work' / 'tiny.py').model.type == 'LeanEncoderDecoder'
