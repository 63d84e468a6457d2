"""The only place that knows about version gaps between PyTorch, numpy, MMCV, MMEngine and MMSeg.

Each function closes one gap, says what breaks without it and in which versions, and does nothing
where nothing breaks. "The forks" are the maintained onedl-mmcv, onedl-mmengine and
onedl-mmsegmentation, which are imported under the original names.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

_COMPILED_OPERATORS = 'mmcv._ext'
_NEWEST_MMCV_FOR_MMSEG = '2.1.0'
_OLDEST_SAFE_TORCH = (2, 6)


def apply() -> None:
    """Apply every workaround that the installed versions need; a second call changes nothing.

    Raises:
        ImportError: If PyTorch is too old, or MMCV is not installed.
    """
    require_safe_torch()
    require_mmcv()
    provide_find_loader()
    accept_newer_mmcv()
    provide_operator_placeholders()
    import_timm_when_needed()
    find_packages_without_pkg_resources()
    find_configs_of_packages()
    compute_focal_loss_on_any_device()


def require_safe_torch() -> None:
    """Refuse versions of PyTorch that run code in checkpoints.

    Before 2.6 even ``torch.load(..., weights_only=True)`` can run code that a file contains
    (CVE-2025-32434), so reading a checkpoint cannot be made safe there.

    Raises:
        ImportError: If PyTorch is older.
    """
    if _release(torch.__version__) < _OLDEST_SAFE_TORCH:
        oldest = '.'.join(map(str, _OLDEST_SAFE_TORCH))
        raise ImportError(
            f'segheads needs PyTorch {oldest} or newer, and {torch.__version__} is installed: '
            'older ones can run code that a checkpoint contains, even with weights_only=True '
            f'(CVE-2025-32434); run `pip install "torch>={oldest}" torchvision`.'
        )


def _release(version: str) -> tuple[int, ...]:
    from packaging.version import Version

    return Version(version).release


def require_mmcv() -> None:
    """Say in one sentence how to install MMCV where it is missing.

    MMCV is no hard requirement of this package: mmcv and mmcv-lite share one folder, and
    installing one over the other silently damages a compiled MMCV that the user already has.
    Uninstalling one of them guts the other: what is left is a folder without ``__init__.py``,
    which Python imports as an empty namespace package.

    Raises:
        ImportError: If MMCV is missing or its folder is incomplete.
    """
    spec = importlib.util.find_spec('mmcv')
    if spec is None or spec.origin is None:
        raise ImportError(
            'segheads needs MMCV, which is missing or incomplete here: run '
            '`pip install "segheads[lite]"` (in a clone: `pip install -e ".[lite]"`), which needs '
            'no compiler, or the same with [full] in place of [lite] for compiled operators.'
        )


def provide_find_loader() -> None:
    """Let MMEngine ask whether MMCV has compiled operators on Python 3.14 and newer.

    Without this, ``mmcv_full_available`` (MMEngine <= 0.10.7) raises "module 'pkgutil' has no
    attribute 'find_loader'", and with it ``revert_sync_batchnorm``, which every run on one device
    calls. Python 3.14 removed the function.
    """
    if not hasattr(pkgutil, 'find_loader'):
        pkgutil.find_loader = _find_loader


def _find_loader(name: str) -> Loader | None:
    spec = importlib.util.find_spec(name)
    return spec.loader if spec else None


def accept_newer_mmcv() -> None:
    """Import MMSegmentation next to MMCV 2.2 or newer.

    Without this, ``import mmseg`` (MMSegmentation 1.2.2) raises an AssertionError for
    MMCV >= 2.2.0: its upper bound was never raised, although MMCV 2.2 works. The bound is compared
    with ``mmcv.__version__`` during the import, so an accepted version stands there meanwhile.
    """
    if 'mmseg' in sys.modules:
        return
    try:
        importlib.import_module('mmseg')
        return
    except AssertionError:
        import mmcv

        installed = mmcv.__version__
        if not (2, 2) <= _release(installed) < (3,):
            raise

    mmcv.__version__ = _NEWEST_MMCV_FOR_MMSEG
    try:
        mmseg = _import_afresh('mmseg')
    finally:
        mmcv.__version__ = installed
    mmseg.mmcv_version = mmseg.digit_version(installed)


def provide_operator_placeholders() -> None:
    """Let MMSegmentation be imported where MMCV has no compiled operators.

    Without this, ``import mmseg.models`` (MMSegmentation 1.2.2) raises "No module named
    'mmcv._ext'" with mmcv-lite, and with an mmcv that was built without operators: it imports
    ``mmcv.ops``, although few of its models use a compiled operator. With it, the operators
    written in Python (``point_sample``) work, and a compiled one says what is missing when it is
    called. The forks do without: they take the failing import for an answer, and would take a
    placeholder for an operator.

    The finder comes last in ``sys.meta_path``, so a real ``mmcv._ext`` always wins. A bare module
    in ``sys.modules`` would not do: MMEngine's ``mmcv_full_available`` asks for its spec.
    """
    try:
        importlib.import_module('mmseg.utils')
    except ModuleNotFoundError as error:
        if error.name != _COMPILED_OPERATORS:
            raise
        sys.meta_path.append(_OperatorPlaceholders())
        _import_afresh('mmseg.utils')


class _OperatorPlaceholders(MetaPathFinder, Loader):
    """Finds ``mmcv._ext`` as a module in which every name is a function that raises."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _COMPILED_OPERATORS:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=__name__)

    def exec_module(self, module: ModuleType) -> None:
        module.__getattr__ = _operator_placeholder


def _operator_placeholder(name: str) -> Callable[..., NoReturn]:
    # Python itself probes modules for names such as `__path__`; those must stay absent.
    if name.startswith('__'):
        raise AttributeError(f'module {_COMPILED_OPERATORS!r} has no attribute {name!r}')

    def raise_missing(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            f'{name} is a compiled operator, and the MMCV installed here has none: uninstall it '
            '(mmcv-lite or mmcv) and install an mmcv with operators built for this PyTorch.'
        )

    return raise_missing


def _import_afresh(package: str) -> ModuleType:
    """Import a package again whose import has failed halfway.

    The submodules that had been imported before the failure are dropped first: Python would not
    bind them to the new package object (``mmseg.version`` would be missing in ``mmseg``).
    """
    for name in [name for name in sys.modules if name.startswith(f'{package}.')]:
        del sys.modules[name]
    return importlib.import_module(package)


def import_timm_when_needed() -> None:
    """Import MMSegmentation's models without timm, which one of its encoders needs.

    Without this, every import of MMSegmentation takes a second or more for timm and torchvision,
    and fails where these two do not fit PyTorch. With it, they are imported when an encoder of
    timm is built.
    """
    if 'mmseg.models' in sys.modules or 'timm' in sys.modules:
        return
    if importlib.util.find_spec('timm') is None:
        return
    sys.modules['timm'] = None  # an import of it fails, which MMSegmentation foresees
    try:
        importlib.import_module('mmseg.models')
    finally:
        del sys.modules['timm']
    from mmseg.models.backbones import timm_backbone

    if timm_backbone.timm is None:
        timm_backbone.timm = _ImportedWhenUsed('timm')


class _ImportedWhenUsed:
    """Stands in for a module, and imports it when one of its names is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self._name), name)


def find_packages_without_pkg_resources() -> None:
    """Let MMEngine find installed packages where setuptools no longer brings ``pkg_resources``.

    Without this, ``_base_ = ['mmseg::...']`` and ``mmengine.hub.get_config`` (MMEngine <= 0.10.7)
    raise "No module named 'pkg_resources'" with setuptools >= 82 or without setuptools. The
    requirements ask for an older one, but another package may replace it later.
    """
    if importlib.util.find_spec('pkg_resources') is not None:
        return
    from mmengine.utils import package_utils

    try:
        package_utils.is_installed('mmengine')
        return
    except ModuleNotFoundError as error:
        if error.name != 'pkg_resources':
            raise

    replacements = {
        package_utils.is_installed: _is_installed,
        package_utils.get_installed_path: _installed_path,
    }
    # MMEngine's modules hold these functions by name, each its own reference.
    for name, module in list(sys.modules.items()):
        if name.partition('.')[0] == 'mmengine':
            for function, replacement in replacements.items():
                if getattr(module, function.__name__, None) is function:
                    setattr(module, function.__name__, replacement)


def _is_installed(package: str) -> bool:
    return _module_spec(package) is not None


def _installed_path(package: str) -> str:
    spec = _module_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f'{package} is not installed.')
    return str(Path(spec.origin).parent)


def _module_spec(package: str) -> ModuleSpec | None:
    from mmengine.config.utils import MODULE2PACKAGE

    modules = {distribution: module for module, distribution in MODULE2PACKAGE.items()}
    return importlib.util.find_spec(modules.get(package, package))


def find_configs_of_packages() -> None:
    """Let ``package::path/of/config.py`` name the configs of this package and of MMSeg's fork.

    Without this, MMEngine answers "does not support to load segheads config", because it knows
    its sister projects only, and "mmsegmentation is not installed" for a reference to
    ``mmseg::...`` where MMSeg is installed as onedl-mmsegmentation.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE.setdefault('segheads', 'segheads')
    try:
        importlib.metadata.distribution(MODULE2PACKAGE['mmseg'])
    except importlib.metadata.PackageNotFoundError:
        MODULE2PACKAGE['mmseg'] = 'mmseg'


def compute_focal_loss_on_any_device() -> None:
    """Let MMSegmentation's FocalLoss compare each class with its labels where there is no GPU.

    Without this, it raises "The size of tensor a (5) must match the size of tensor b" for labels on
    a CPU (MMSegmentation <= 1.2.2): of the labels as one channel per class it takes one channel in
    place of all. A mask per class is what it is given instead, which it takes on every device.
    """
    import torch.nn.functional as F
    from mmseg.models.losses import FocalLoss

    if hasattr(FocalLoss.forward, '__wrapped__') or not _focal_loss_fails(FocalLoss):
        return
    forward = FocalLoss.forward

    @functools.wraps(forward)
    def forward_on_any_device(
        self: nn.Module,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        *args: Any,
        ignore_index: int = 255,
        **kwargs: Any,
    ) -> Tensor:
        if pred.is_cuda or target.dim() == pred.dim():
            return forward(self, pred, target, weight, *args, ignore_index=ignore_index, **kwargs)
        valid = target != ignore_index
        # One more class, so that a single one has the label 1 and not 0.
        num_classes = pred.shape[1]
        masks = F.one_hot(torch.where(valid, target, 0), num_classes + 1).movedim(-1, 1)
        masks = masks[:, 1:] if num_classes == 1 else masks[:, :num_classes]
        weight = valid if weight is None else weight * valid
        # No channel of the masks is ignored: what is, has no weight.
        return forward(
            self, pred, masks, weight.flatten().to(pred), *args, ignore_index=-1, **kwargs
        )

    FocalLoss.forward = forward_on_any_device


def _focal_loss_fails(loss: type[nn.Module]) -> bool:
    try:
        loss()(torch.zeros(1, 2, 1, 3), torch.zeros(1, 1, 3, dtype=torch.long))
    except RuntimeError:
        return True
    return False


def is_tracing() -> bool:
    """Tell whether ``torch.compile`` or ``torch.export`` is tracing.

    PyTorch itself tells in all versions that trace our layers for any size.
    """
    return getattr(torch.compiler, 'is_compiling', bool)()
