"""Reads checkpoints without running what is in them, wherever MMEngine reads one.

MMEngine asks its CheckpointLoader: the Runner for ``load_from`` and ``resume``, modules for
``init_cfg`` of the type Pretrained, and ``mmseg.apis.init_model``. The loaders registered here take
the place of its own, which leave the choice to PyTorch; for a file from the network that executes
whatever it contains.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine import dist
from mmengine.fileio import get
from mmengine.runner import CheckpointLoader, checkpoint

from segheads.ranks import local_rank
from segheads.transfer import DownloadError
from segheads.weights.files import parts_of_index
from segheads.weights.hub import SCHEME, cached_from_hub, fetch_from_hub, hub_address

from .file_format import CheckpointError, checkpoint_file, file_format
from .inspection import MightRunCode, inspect_checkpoint
from .notes import check_notes
from .safetensors_file import load_safetensors

WRAPPERS = ('state_dict', 'model', 'model_state_dict', 'state_dict_ema')
DISTRIBUTED_PREFIX = 'module.'
MODEL_ZOOS = ('modelzoo://', 'torchvision://', 'open-mmlab://', 'openmmlab://', 'mmcls://')

_trusted: ContextVar[bool] = ContextVar('trusted', default=False)


@contextmanager
def trust_checkpoints(trusted: bool = True) -> Iterator[None]:
    """Reads checkpoints with all that they contain, code included, for the length of a block.

    Only for files whose author you trust as much as a program that you run::

        with segheads.checkpoints.trust_checkpoints():
            model = init_model(config, 'with_own_classes.pth')

    Args:
        trusted (bool): False changes nothing, which saves a condition. Default: True.
    """
    token = _trusted.set(trusted or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


def are_trusted() -> bool:
    """Tells whether it is called inside of :func:`trust_checkpoints`."""
    return _trusted.get()


def read_checkpoint(path: str | Path, map_location: Any = 'cpu') -> dict[str, Any]:
    """Reads a checkpoint of PyTorch or safetensors; nothing in it is executed.

    Args:
        path (str | Path): A local file; an index of several parts, such as
            ``model.safetensors.index.json``; or a folder that transformers or timm has written.
        map_location (optional): As for ``torch.load``. Default: 'cpu'.

    Returns:
        dict: The content, as MMEngine would have written it: the weights are under 'state_dict',
        whatever they were under, and without the prefix of distributed training. Only an encoder
        whose weights are all that the file holds is returned as it is.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file is none or damaged, or if it might run code, and stands outside
            of :func:`trust_checkpoints`.
    """
    file = checkpoint_file(path)
    kind = file_format(file)
    if kind == 'index':
        return _read_parts(file, map_location)
    try:
        if kind == 'safetensors':
            content = load_safetensors(file, map_location)
        elif _trusted.get():
            content = torch.load(file, map_location=map_location, weights_only=False)
        else:
            inspect_checkpoint(file, kind)
            content = torch.load(file, map_location=map_location, weights_only=True)
        if not isinstance(content, dict):
            kind = type(content).__name__
            raise CheckpointError(f'holds no weights by name, but a {kind}')
        content = _unwrap(content)
        if not _trusted.get():
            check_notes(content, str(path))
        return content
    except MightRunCode as error:
        raise CheckpointError(
            f'{path} was not read: it {error}; if you trust whoever wrote it, pass '
            '--trust-checkpoint, or in Python use segheads.checkpoints.trust_checkpoints()'
        ) from error
    except CheckpointError as error:
        raise CheckpointError(f'{path} was not read: it {error}') from error
    except Exception as error:  # a damaged file raises anything
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise CheckpointError(
            f'{path} is damaged, or not in a form that PyTorch {torch.__version__} reads '
            f'({reason[:200]}); copy or download it again'
        ) from error


def _read_parts(index: Path, map_location: Any) -> dict[str, Any]:
    """Reads the weights of all parts that an index lists, as one checkpoint."""
    try:
        names = parts_of_index(index)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    weights: dict[str, Any] = {}
    for name in names:
        part = index.parent / name
        if not part.is_file():
            raise CheckpointError(f'{index} lists {name}, which is not beside it; fetch it again')
        if file_format(part) == 'index':
            raise CheckpointError(f'{index} lists {name}, which is an index itself')
        content = read_checkpoint(part, map_location)
        weights |= content.get('state_dict', content)
    return dict(meta={}, state_dict=weights)


def _unwrap(content: dict[str, Any]) -> dict[str, Any]:
    """Puts the weights where MMEngine looks for them, and takes the name of a wrapper off them."""
    weights, rest = content, {}
    seen: set[int] = set()
    while wrapper := next((w for w in WRAPPERS if isinstance(weights.get(w), dict)), None):
        if id(weights) in seen:
            raise CheckpointError('holds weights that are wrapped into themselves')
        seen.add(id(weights))
        rest |= {name: value for name, value in weights.items() if name != wrapper}
        weights = weights[wrapper]
    is_bare = weights is content
    if is_bare and not isinstance(weights.get(WRAPPERS[0], {}), dict):
        kind = type(weights[WRAPPERS[0]]).__name__
        raise CheckpointError(f'holds a {kind} under {WRAPPERS[0]!r}, and no weights by name')
    if not all(isinstance(name, str) for name in weights):
        raise CheckpointError('holds weights whose names are no texts')
    if weights and all(name.startswith(DISTRIBUTED_PREFIX) for name in weights):
        prefix = len(DISTRIBUTED_PREFIX)
        weights = OrderedDict((name[prefix:], value) for name, value in weights.items())
    # Those who load an encoder may look for its weights in the dict itself; those who load a
    # model ask for its `meta`.
    if is_bare and not any(name.startswith('backbone.') for name in weights):
        return weights
    return {'meta': {}, **rest, 'state_dict': weights}


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Reads a local file for MMEngine; see :func:`read_checkpoint`."""
    return read_checkpoint(filename, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Downloads a file, unless it is in PyTorch's cache already, and reads it."""
    folder = Path(torch.hub.get_dir()) / 'checkpoints'
    file = folder / Path(urlparse(filename).path).name
    try:
        # One process of each machine: what the first of all has, another machine need not have.
        if local_rank() == 0 and not file.exists():
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(filename, str(file), progress=sys.stderr.isatty())
    except OSError as error:
        reason = getattr(error, 'reason', error)
        raise CheckpointError(
            f'{filename} could not be downloaded ({reason}); check the network and proxy of this '
            f'machine, or download it elsewhere and copy it to {file}'
        ) from error
    finally:
        dist.barrier()
    if not file.exists():
        raise CheckpointError(f'{filename} was not downloaded by the first process of this machine')
    return read_checkpoint(file, map_location)


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_from_hub(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Fetches weights from the Hugging Face hub, unless they are there, and reads them."""
    try:
        address = hub_address(filename)
    except DownloadError as error:
        raise CheckpointError(str(error)) from error
    failure = None
    if local_rank() == 0:
        try:
            fetch_from_hub(address)
        except DownloadError as error:
            failure = error
    dist.barrier()
    if failure:
        raise CheckpointError(str(failure)) from failure
    file = cached_from_hub(address)
    if file is None:
        raise CheckpointError(f'{filename} was not fetched by the first process of this machine')
    return read_checkpoint(file, map_location)


@CheckpointLoader.register_scheme(prefixes=MODEL_ZOOS, force=True)
def load_from_zoo(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Reads a file that MMEngine knows by a short name, such as ``torchvision://resnet50``."""
    zoo, _, name = filename.partition('://')
    if zoo in ('modelzoo', 'torchvision'):
        address = checkpoint.get_torchvision_models()[name]
    elif zoo == 'mmcls':
        address = checkpoint.get_mmcls_models()[name]
    else:
        name = checkpoint.get_deprecated_model_names().get(name, name)
        address = checkpoint.get_external_models()[name]
    if '://' in address:
        content = load_from_http(address, map_location)
    else:
        content = read_checkpoint(Path(checkpoint._get_mmengine_home()) / address, map_location)
    return checkpoint._process_mmcls_checkpoint(content) if zoo == 'mmcls' else content


@CheckpointLoader.register_scheme(
    prefixes=[r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'pavi://'], force=True
)
def load_from_storage(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Reads a file from an object store that MMEngine has access to."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / Path(filename).name
        file.write_bytes(get(filename))
        return read_checkpoint(file, map_location)
