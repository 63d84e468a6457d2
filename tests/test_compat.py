"""Each workaround: what broke without it works with it, and nothing else changes."""

import builtins
import importlib
import importlib.util
import os
import pkgutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import mmcv
import mmengine.config.config
import mmseg
import numpy as np
import pytest
import torch
from mmengine.hub import get_config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.runner import Runner
from mmseg.models.losses import FocalLoss
from torch import Tensor, nn

from segheads import compat


def _python(code: str) -> subprocess.CompletedProcess:
    """Run code in a fresh interpreter, where nothing of MMSegmentation is imported yet."""
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)


def test_sync_batchnorm_is_reverted_where_python_has_no_find_loader(monkeypatch) -> None:
    monkeypatch.delattr(pkgutil, 'find_loader', raising=False)
    compat.provide_find_loader()
    assert pkgutil.find_loader('mmseg') is not None
    assert pkgutil.find_loader('no_such_module') is None
    model = revert_sync_batchnorm(nn.Sequential(nn.SyncBatchNorm(4)))
    assert not any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())


def test_a_second_call_changes_nothing() -> None:
    def state() -> tuple[Any, ...]:
        return list(sys.meta_path), mmcv.__version__, mmengine.config.config.is_installed

    before = state()
    compat.apply()
    assert state() == before


def test_older_pytorch_is_answered_by_one_sentence() -> None:
    process = _python("import torch; torch.__version__ = '2.5.1+cpu'; import segheads")
    message = process.stderr.strip().splitlines()[-1]
    assert message.startswith('ImportError: segheads needs PyTorch 2.6 or newer, and 2.5.1+cpu is')
    assert 'pip install' in message


class TestMissingMMCV:
    def test_says_in_one_sentence_what_to_install(self) -> None:
        process = _python("import sys; sys.modules['mmcv'] = None; import segheads")
        message = process.stderr.strip().splitlines()[-1]
        assert message.startswith('ImportError: segheads needs MMCV')
        assert 'pip install "segheads[lite]"' in message
        assert 'pip install -e ".[lite]"' in message
        assert '[full]' in message

    def test_recognises_what_uninstalling_mmcv_lite_leaves_of_mmcv(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        namespace_package = ModuleSpec('mmcv', loader=None)
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: namespace_package)
        with pytest.raises(ImportError, match='missing or incomplete'):
            compat.require_mmcv()


@pytest.mark.skipif(not hasattr(mmseg, 'MMCV_MAX'), reason='this MMSegmentation has no upper bound')
def test_newer_mmcv_is_accepted_and_keeps_its_version() -> None:
    process = _python(
        'import importlib\n'
        'import mmcv\n'
        'attempts = (("mmseg", "2.2.0"), ("segheads", "3.0.0"), ("segheads", "2.2.0"))\n'
        'for package, mmcv.__version__ in attempts:\n'
        '    try:\n'
        '        importlib.import_module(package)\n'
        '    except AssertionError:\n'
        '        print(package, "refuses", mmcv.__version__)\n'
        'import mmseg\n'
        'print(mmcv.__version__, mmseg.mmcv_version[:3], mmseg.version.__version__)\n'
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == [
        'mmseg refuses 2.2.0',
        'segheads refuses 3.0.0',
        f'2.2.0 (2, 2, 0) {mmseg.__version__}',
    ]


def test_timm_is_imported_where_an_encoder_of_it_is_built() -> None:
    process = _python(
        'import sys\n'
        'import segheads\n'
        "print('timm' in sys.modules, 'torchvision' in sys.modules)\n"
        'from mmseg.registry import MODELS\n'
        "cfg = dict(type='mmseg.TIMMBackbone', model_name='resnet10t', features_only=True)\n"
        'MODELS.build(dict(cfg, pretrained=False))\n'
        "print('timm' in sys.modules)\n"
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines() == ['False False', 'True']


class TestOperatorPlaceholders:
    @pytest.fixture(autouse=True)
    def _only_where_they_stand_in(self) -> None:
        spec = importlib.util.find_spec('mmcv._ext')
        if spec is None or spec.origin != 'segheads.compat':
            pytest.skip('no placeholder is needed here')

    def test_operator_written_in_python_works(self) -> None:
        from mmcv.ops import point_sample

        image = torch.arange(4.0).reshape(1, 1, 2, 2)
        centre = torch.tensor([[[0.5, 0.5]]])
        torch.testing.assert_close(point_sample(image, centre), torch.tensor([[[1.5]]]))

    def test_compiled_operator_says_what_is_missing(self) -> None:
        from mmcv.ops import nms

        with pytest.raises(RuntimeError, match='nms is a compiled operator, and the MMCV'):
            nms(torch.zeros(1, 4), torch.zeros(1), iou_threshold=0.5)

    def test_real_operators_win(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / '_ext.py').touch()
        monkeypatch.setattr(mmcv, '__path__', [*mmcv.__path__, str(tmp_path)])
        monkeypatch.delitem(sys.modules, 'mmcv._ext')
        importlib.invalidate_caches()
        assert importlib.util.find_spec('mmcv._ext').origin == str(tmp_path / '_ext.py')

    def test_python_does_not_find_special_names(self) -> None:
        extension = importlib.import_module('mmcv._ext')
        assert not hasattr(extension, '__path__')

    def test_mmengine_reverts_synchronised_batch_norm(self) -> None:
        reverted = revert_sync_batchnorm(nn.Sequential(nn.SyncBatchNorm(2)))
        assert not isinstance(reverted[0], nn.SyncBatchNorm)
        assert reverted(torch.zeros(2, 2, 3, 3)).shape == (2, 2, 3, 3)


def test_submodules_are_bound_to_their_packages() -> None:
    """An import that failed halfway and is repeated would leave them unbound."""
    assert mmseg.version.__version__ == mmseg.__version__
    assert mmseg.utils.class_names.get_classes('cityscapes')[0] == 'road'


class _Line(BaseModel):
    """The smallest model that MMEngine trains."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, inputs: Tensor, mode: str) -> dict[str, Tensor]:
        return {'loss': self.layer(inputs).square().mean()}


def _runner(work_dir: Path, iterations: int, **settings: Any) -> Runner:
    return Runner(
        model=_Line(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            dataset=[dict(inputs=torch.ones(1)), dict(inputs=torch.zeros(1))],
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
            batch_size=2,
        ),
        train_cfg=dict(by_epoch=False, max_iters=iterations),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1)),
        param_scheduler=dict(type='PolyLR', eta_min=0.0, by_epoch=False),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=1),
            checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False),
        ),
        log_processor=dict(by_epoch=False),
        experiment_name=work_dir.name + str(iterations),
        **settings,
    )


@pytest.fixture(scope='module')
def work_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('training')
    _runner(folder, iterations=2).train()
    return folder


class TestCheckpointsOfMMEngine:
    def test_training_resumes_from_its_own_checkpoint(self, work_dir: Path) -> None:
        resumed = _runner(work_dir, iterations=4, resume=True)
        resumed.train()
        assert resumed.iter == 4
        history, _ = resumed.message_hub.get_scalar('train/loss').data
        assert len(history) == 4

    def test_everything_in_it_is_allowed(self, work_dir: Path) -> None:
        checkpoint = torch.load(work_dir / 'iter_2.pth', weights_only=True)
        loss = checkpoint['message_hub']['log_scalars']['train/loss']
        assert isinstance(loss, HistoryBuffer)
        assert loss.statistics('mean') == pytest.approx(loss.data[0].mean())
        assert checkpoint['optimizer']['param_groups'][0]['initial_lr'] == 0.1

    def test_it_is_refused_without_the_workaround(self, work_dir: Path) -> None:
        allowed = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        try:
            with pytest.raises(UnpicklingError, match='HistoryBuffer'):
                torch.load(work_dir / 'iter_2.pth')
        finally:
            torch.serialization.add_safe_globals(allowed)
        torch.load(work_dir / 'iter_2.pth')

    @pytest.mark.parametrize('module', ['numpy.core.multiarray', 'numpy._core.multiarray'])
    def test_either_generation_of_numpy_may_have_written_it(
        self, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        array = np.arange(3.0)
        reconstruct, arguments, state = array.__reduce__()
        # Pickle writes the module name that the function itself states.
        imitation = _imitate(reconstruct, module, monkeypatch)
        torch.save(_Reduced(imitation, arguments, state), tmp_path / 'array.pth')
        assert module.encode() in _pickle_of(tmp_path / 'array.pth')
        np.testing.assert_array_equal(torch.load(tmp_path / 'array.pth'), array)


class _Reduced:
    """Pickles as a call of ``function``, which unpickling would execute."""

    def __init__(self, function: Callable[..., Any], *rest: Any) -> None:
        self.rest = (function, *rest)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.rest


def _imitate(
    function: Callable[..., Any], module: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Return a function that pickle takes for ``function`` of the given module."""

    def imitation(*arguments: Any) -> Any:
        return function(*arguments)

    imitation.__module__ = module
    imitation.__name__ = imitation.__qualname__ = function.__name__
    stand_in = type(sys)(module)
    setattr(stand_in, function.__name__, imitation)
    monkeypatch.setitem(sys.modules, module, stand_in)
    return imitation


def _pickle_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith('data.pkl')]
        return archive.read(name)


@pytest.mark.parametrize(
    'function, arguments',
    [
        (os.system, ('touch executed',)),
        (builtins.eval, ("open('executed', 'w')",)),
        (getattr, (_Reduced(importlib.import_module, ('os',)), 'system')),
        (getattr, (np.ndarray, 'tofile')),
        (getattr, (HistoryBuffer, '__init__')),
        (getattr, (HistoryBuffer, '__subclasses__')),
        (getattr, (HistoryBuffer(), 'mean')),
    ],
)
def test_other_globals_stay_refused(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': _Reduced(function, arguments)}, 'malicious.pth')
    with pytest.raises(UnpicklingError):
        torch.load('malicious.pth')
    assert not Path('executed').exists()


class TestConfigReferences:
    name = 'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py'

    def test_config_of_mmsegmentation_is_found(self) -> None:
        assert get_config(f'mmseg::{self.name}').model.decode_head.type == 'SegformerHead'

    def test_config_is_found_without_pkg_resources(self, tmp_path: Path) -> None:
        config = tmp_path / 'config.py'
        config.write_text("_base_ = ['mmyolo::yolov5/yolov5_s.py']")
        process = _python(
            'import sys\n'
            "sys.modules['pkg_resources'] = None\n"
            'import segheads\n'
            'from mmengine.config import Config\n'
            'from mmengine.hub import get_config\n'
            f'print(get_config("mmseg::{self.name}").model.decode_head.type)\n'
            f'Config.fromfile({str(config)!r})\n'
        )
        assert process.stdout.split()[-1:] == ['SegformerHead'], process.stderr
        assert 'ModuleNotFoundError: mmyolo is not installed' in process.stderr


class TestFocalLoss:
    """MMSegmentation's own, on a CPU."""

    @staticmethod
    def expected(pred: Tensor, target: Tensor, alpha: Tensor, ignore_index: int = 255) -> Tensor:
        """The loss of each pixel and class, by the definition: -a (1 - p)^2 log p."""
        classes = torch.arange(1, 2) if pred.shape[1] == 1 else torch.arange(pred.shape[1])
        is_class = target[:, None] == classes[:, None, None]
        probability = torch.where(is_class, pred.sigmoid(), 1 - pred.sigmoid())
        alpha = torch.where(is_class, alpha[:, None, None], 1 - alpha[:, None, None])
        loss = -alpha * (1 - probability) ** 2 * probability.log()
        return loss * (target != ignore_index)[:, None]

    @pytest.mark.parametrize('num_classes', [1, 2, 5])
    @pytest.mark.parametrize('ignore_index', [255, 0])
    def test_is_what_its_definition_says(self, num_classes: int, ignore_index: int) -> None:
        pred = torch.randn(2, num_classes, 4, 6)
        target = torch.randint(0, max(num_classes, 2), (2, 4, 6))
        target[:, 0] = ignore_index
        each = self.expected(pred, target, torch.tensor([0.25]), ignore_index)
        loss = FocalLoss(alpha=0.25)
        torch.testing.assert_close(loss(pred, target, ignore_index=ignore_index), each.mean())
        found = loss(pred, target, reduction_override='none', ignore_index=ignore_index)
        torch.testing.assert_close(found, each)

    def test_weighs_classes_and_pixels(self) -> None:
        pred, target = torch.randn(2, 3, 4, 6), torch.randint(0, 3, (2, 4, 6))
        alpha, weight = torch.tensor([0.2, 0.5, 0.7]), torch.rand(2, 4, 6)
        each = self.expected(pred, target, alpha) * torch.tensor([1.0, 2.0, 3.0])[:, None, None]
        loss = FocalLoss(alpha=alpha.tolist(), class_weight=[1.0, 2.0, 3.0])
        found = loss(pred, target, weight, avg_factor=7)
        torch.testing.assert_close(found, (each * weight[:, None]).sum() / 7)

    def test_of_masks_stays_what_it_was(self) -> None:
        pred, target = torch.randn(2, 3, 4, 6), torch.randint(0, 3, (2, 4, 6))
        masks = torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
        torch.testing.assert_close(FocalLoss()(pred, masks), FocalLoss()(pred, target))

    def test_trains_a_head(self) -> None:
        pred = torch.zeros(1, 3, 2, 2, requires_grad=True)
        FocalLoss()(pred, torch.full((1, 2, 2), 255)).backward()
        assert not pred.grad.any()
        FocalLoss()(pred, torch.zeros(1, 2, 2, dtype=torch.long)).backward()
        assert (pred.grad[:, 0] < 0).all() and (pred.grad[:, 1:] > 0).all()
