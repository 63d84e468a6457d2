"""Reads what a checkpoint names and declares, before anything in it is built.

A pickle is a small program: it names functions, calls them, and fills what they return. Here it
runs with a stand-in for everything that it names, so that nothing happens but bookkeeping: is each
name one that PyTorch or MMEngine writes, and is each tensor as large as what the file holds for it?
"""

import io
import math
import mmap
import pickle
import pickletools
import sys
import zipfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

from .allowed_types import LATIN1, STATISTICS, allowed_types, full_name, storage_types
from .archive_layout import read_layout, read_pickle
from .file_format import CheckpointError

# What torch.save writes, and torch.load(..., weights_only=True) reads. Others reach names in
# roundabout ways, or make room for as much as they declare.
INSTRUCTIONS = frozenset(
    'PROTO STOP MARK GLOBAL NEWOBJ REDUCE BUILD BINPERSID APPEND APPENDS SETITEM SETITEMS '
    'TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWFALSE NEWTRUE BININT BININT1 BININT2 LONG1 BINFLOAT '
    'BINUNICODE SHORT_BINSTRING EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET '
    'BINGET LONG_BINGET BINPUT LONG_BINPUT'.split()
)
PROTOCOL = 2
LEGACY_START = (0x1950A86A20F9469CFC6C, 1001)
HISTORY_BUFFER = 'mmengine.logging.history_buffer.HistoryBuffer'
NEVER_CALLED = frozenset(['numpy.ndarray', *storage_types()])
# What is made empty and gets its content next.
FILLED = (
    'argparse.Namespace',
    'collections.OrderedDict',
    'numpy.core.multiarray._reconstruct',
    'numpy._core.multiarray._reconstruct',
)
NATIVE_BYTE_ORDERS = ('=', '|', '<' if sys.byteorder == 'little' else '>')
TENSOR_FUNCTIONS = ('torch._utils._rebuild_tensor', 'torch._utils._rebuild_tensor_v2')


class MightRunCode(CheckpointError):
    """The checkpoint names something else than data; like those below, the text follows 'it'."""


def inspect_checkpoint(path: Path, kind: str) -> None:
    """Checks a checkpoint of PyTorch without building anything of it.

    Args:
        path (Path): The file.
        kind (str): 'zip' or 'legacy', as from :func:`segheads.checkpoints.file_format.file_format`.

    Raises:
        MightRunCode: If the file names something that is not in
            :func:`segheads.checkpoints.allowed_types.allowed_types`.
        CheckpointError: If it declares more data than it holds.
        Exception: Whatever reading a damaged file raises.
    """
    if kind == 'zip':
        with zipfile.ZipFile(path) as archive:
            _inspect_archive(path, archive)
    else:
        # A map never reads more than there is, however long a text is declared to be.
        with (
            path.open('rb') as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream,
        ):
            _inspect_legacy(stream, len(stream))


class _StandIn:
    """Takes the place of what a pickle names. Calling it makes an empty object, filling it nothing.

    Args:
        *arguments: What the pickle calls it with.
    """

    path = ''
    arguments: tuple = ()

    def __new__(cls, *arguments: Any, **_: Any) -> '_StandIn':
        _check_call(cls.path, arguments)
        return super().__new__(cls)

    def __init__(self, *arguments: Any, **_: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, *state: Any) -> None:
        if not state:  # called for the class itself, with the state in the place of `self`
            raise MightRunCode('changes a function or class that it names')
        _check_state(self.path, *state)

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


@cache
def _stand_in(path: str) -> type[_StandIn]:
    return type(path, (_StandIn,), {'path': path})


class _Storage:
    """The memory of a tensor, of which only the number of elements is known."""

    def __init__(self, numel: int) -> None:
        self.numel = numel

    def __setstate__(self, state: Any) -> None:
        raise CheckpointError('changes the declared memory of a tensor')


class _Inspector(pickle.Unpickler):
    """Unpickles with stand-ins.

    Args:
        stream (BinaryIO): Holds the pickle.
        find_storage (Callable): Checks the declaration of a storage and returns it.
    """

    def __init__(self, stream: BinaryIO, find_storage: Callable[[Any], _Storage]) -> None:
        super().__init__(stream, encoding='latin1')
        self._stream = stream
        self._find_storage = find_storage

    def load(self) -> Any:
        _check_instructions(self._stream)
        return super().load()

    def find_class(self, module: str, name: str) -> type:
        path = full_name(module, name)
        if path not in allowed_types():
            raise MightRunCode(
                f'refers to {path}, which is neither a weight nor a record of MMEngine and might '
                'run code'
            )
        return _stand_in(path)

    def persistent_load(self, identity: Any) -> _Storage:
        return self._find_storage(identity)


def _check_instructions(stream: BinaryIO) -> None:
    """Checks the instructions of a pickle up to its end, and returns to its start."""
    start = stream.tell()
    noted = 0
    for instruction, argument, _ in pickletools.genops(stream):
        if instruction.name == 'PROTO' and argument > pickle.HIGHEST_PROTOCOL:
            raise CheckpointError('starts like a pickle, but is none')
        if instruction.name == 'PROTO' and argument > PROTOCOL:
            raise MightRunCode(
                f'is in protocol {argument} of pickle, where torch.save writes {PROTOCOL}'
            )
        if instruction.name not in INSTRUCTIONS:
            raise MightRunCode(f'uses {instruction.name} of pickle, which torch.save does not')
        if instruction.name in ('BINPUT', 'LONG_BINPUT'):
            # Notes are numbered one by one; room is made for all up to the number.
            if argument > noted:
                raise CheckpointError('numbers the parts of a pickle in a way that none is written')
            noted += 1
    stream.seek(start)


def _inspect_archive(path: Path, archive: zipfile.ZipFile) -> None:
    records = read_layout(path, archive)

    def find_storage(identity: Any) -> _Storage:
        element_size, key, numel = _parse_storage(identity, length=5)
        record = records.get(f'data/{key}')
        if record is None or numel * element_size > record.file_size:
            held = 0 if record is None else record.file_size
            raise CheckpointError(
                f'declares a tensor of {numel * element_size} bytes, of which it holds {held}'
            )
        return _Storage(numel)

    _Inspector(io.BytesIO(read_pickle(path, archive, records)), find_storage).load()


def _inspect_legacy(stream: BinaryIO, file_size: int) -> None:
    declared: dict[str, int] = {}

    def find_storage(identity: Any) -> _Storage:
        element_size, key, numel = _parse_storage(identity, length=6)
        declared[key] = max(declared.get(key, 0), numel * element_size)
        return _Storage(numel)

    read = partial(_Inspector, stream, find_storage)
    if any(read().load() != expected for expected in LEGACY_START):
        raise CheckpointError('is a pickle of Python, but not one that torch.save wrote')
    for _ in ('machine', 'content', 'keys of the storages'):
        read().load()
    held = file_size - stream.tell()
    if sum(declared.values()) > held:
        raise CheckpointError(
            f'declares tensors of {sum(declared.values())} bytes, of which it holds {held}'
        )


def _parse_storage(identity: Any, length: int) -> tuple[int, str, int]:
    """Reads (what, type, key, device, elements, ...) and returns element size, key, elements."""
    if not isinstance(identity, tuple) or len(identity) != length or identity[0] != 'storage':
        raise MightRunCode('refers to something outside of it that is not the memory of a tensor')
    _, kind, key, _, numel = identity[:5]
    path = getattr(kind, 'path', None)
    if path not in storage_types() or not isinstance(key, str) or not _is_count(numel):
        raise CheckpointError(
            'declares the memory of a tensor in a form that torch.save does not write'
        )
    return storage_types()[path][1], key, numel


def _check_call(path: str, arguments: tuple) -> None:
    if path in NEVER_CALLED:
        raise MightRunCode(f'calls {path}, which a checkpoint only names')
    if path == 'builtins.getattr':
        owner, name = arguments
        if getattr(owner, 'path', None) != HISTORY_BUFFER or name not in STATISTICS:
            raise MightRunCode(f'asks for the attribute {name!r}, which might run code')
    if path == '_codecs.encode' and arguments[1] not in LATIN1:
        raise MightRunCode(f'holds bytes in the encoding {arguments[1]!r}')
    if path in TENSOR_FUNCTIONS:
        _check_tensor(*arguments[:4])


def _check_state(path: str, state: Any) -> None:
    if path == HISTORY_BUFFER:
        # It passes them on to its class, and so to every other record of the process.
        for name, method in state.get('statistics_methods', {}).items():
            if getattr(method, 'path', None) != 'builtins.getattr' or method.arguments[1] != name:
                raise MightRunCode(f'gives HistoryBuffer another {name!r}')
    elif path == 'numpy.dtype':
        if state[1] not in NATIVE_BYTE_ORDERS:
            raise CheckpointError(f'holds arrays of the byte order {state[1]!r}')
    elif path not in FILLED:
        raise CheckpointError(f'changes what {path} returns, which torch.save never does')


def _check_tensor(storage: Any, offset: Any, size: Any, stride: Any) -> None:
    if not isinstance(storage, _Storage):
        raise CheckpointError('builds a tensor of something that is no memory')
    if not all(map(_is_count, (offset, *size, *stride))) or len(size) != len(stride):
        raise CheckpointError('builds a tensor of a shape that is none')
    numel = math.prod(size)
    last = offset + sum((s - 1) * step for s, step in zip(size, stride, strict=True))
    if numel > storage.numel or (numel and last >= storage.numel):
        raise CheckpointError(
            f'declares a tensor of {numel} elements, of which it holds {storage.numel}'
        )


def _is_count(number: Any) -> bool:
    return isinstance(number, int) and number >= 0
