"""Files that pretend to be checkpoints: some run code, some lie about sizes, some are broken."""

import functools
import importlib
import marshal
import operator
import os
import pickle
import pty
import runpy
import shutil
import struct
import subprocess
import tarfile
import timeit
import types
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

WEIGHTS = OrderedDict(weight=torch.arange(12.0).reshape(3, 4), bias=torch.zeros(3))
HUGE = 10**12


class Call:
    """Pickles as a call of ``function``, which unpickling executes."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced

    def __call__(self) -> None:
        """Pickle calls only what is callable, such as the result of another call."""


class OwnClass:
    """A class of the author's own, such as a whole model that was saved."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __setstate__(self, state: dict[str, Any]) -> None:
        Path(state['canary']).touch()


def payloads(folder: Path, canary: Path) -> dict[str, tuple[Any, str]]:
    """Builds objects that create ``canary`` when they are unpickled.

    Args:
        folder (Path): For files that a payload needs; it must be on ``sys.path``.
        canary (Path): The file to create.

    Returns:
        dict[str, tuple[Any, str]]: The object, and a pattern of the name that betrays it.
    """
    code = f'open({str(canary)!r}, "w").close()'
    touch = f'touch {canary}'
    script = folder / 'hostile_module.py'
    script.write_text(code)
    checkpoint = folder / 'inner.pth'
    torch.save(Call(os.system, touch), checkpoint)
    array = folder / 'inner.npy'
    np.save(array, np.array([Call(os.system, touch)], dtype=object))
    bytecode = marshal.dumps(compile(code, 'payload', 'exec'))
    return {
        'os.system': (Call(os.system, touch), r'posix\.system'),
        'os.popen': (Call(os.popen, touch), r'os\.popen'),
        'Popen': (Call(subprocess.Popen, ['touch', str(canary)]), r'subprocess\.Popen'),
        'subprocess.run': (Call(subprocess.run, ['touch', str(canary)]), r'subprocess\.run'),
        'eval': (Call(eval, code), r'builtins\.eval'),
        'exec': (Call(exec, code), r'builtins\.exec'),
        'bytecode': (Call(exec, Call(marshal.loads, bytecode)), r'builtins\.exec'),
        'import': (Call(__import__, 'hostile_module'), r'builtins\.__import__'),
        'importlib': (
            Call(importlib.import_module, 'hostile_module'),
            r'importlib\.import_module',
        ),
        'getattr chain': (
            Call(Call(getattr, Call(importlib.import_module, 'os'), 'system'), touch),
            r'importlib\.import_module',
        ),
        'open': (Call(open, str(canary), 'w'), r'_?io\.open'),
        'method': (Call(Path.touch, Call(Path, str(canary))), r'pathlib\.(_local\.)?Path'),
        'torch.load': (
            Call(functools.partial(torch.load, str(checkpoint), weights_only=False)),
            r'functools\.partial',
        ),
        '_load_from_bytes': (
            Call(torch.storage._load_from_bytes, checkpoint.read_bytes()),
            r'torch\.storage\._load_from_bytes',
        ),
        'numpy.load': (Call(np.load, str(array), None, True), r'numpy\S*\.load'),
        'pickle.loads': (
            Call(pickle.loads, pickle.dumps(Call(os.system, touch))),
            r'_?pickle\.loads',
        ),
        'partial': (Call(functools.partial(os.system, touch)), r'functools\.partial'),
        'methodcaller': (
            Call(Call(operator.methodcaller, 'touch'), canary),
            r'operator\.methodcaller',
        ),
        'attrgetter': (
            Call(Call(Call(operator.attrgetter, 'system'), Call(__import__, 'os')), touch),
            r'operator\.attrgetter',
        ),
        'runpy': (Call(runpy.run_path, str(script)), r'runpy\.run_path'),
        'pty': (Call(pty.spawn, ['touch', str(canary)]), r'pty\.spawn'),
        'shutil': (Call(shutil.copy, str(script), str(canary)), r'shutil\.copy'),
        'timeit': (Call(timeit.timeit, code, 'pass', timeit.default_timer, 1), r'timeit\.timeit'),
        'own class': (OwnClass(canary), r'hostile_files\.OwnClass'),
        'namespace': (types.SimpleNamespace(a=Call(exec, code)), r'types\.SimpleNamespace'),
    }


def places(payload: Any) -> dict[str, Any]:
    """Puts a payload into each part of a checkpoint, or in place of it."""
    history = HistoryBuffer([1.0], [1])
    history._log_history = payload
    moments = {0: dict(step=torch.ones(()), exp_avg=payload)}
    return {
        'alone': payload,
        'weights': dict(state_dict=dict(WEIGHTS, weight=payload)),
        'name of a weight': dict(state_dict={payload: torch.ones(1)}),
        'optimizer': dict(state_dict=WEIGHTS, optimizer=dict(state=moments, param_groups=[])),
        'meta': dict(state_dict=WEIGHTS, meta=dict(epoch=1, time=payload)),
        'message hub': dict(state_dict=WEIGHTS, message_hub=dict(log_scalars=dict(loss=payload))),
        'schedule': dict(state_dict=WEIGHTS, param_schedulers=[dict(base_values=[payload])]),
        'array': dict(state_dict=WEIGHTS, meta=np.array([payload], dtype=object)),
        'history': dict(state_dict=WEIGHTS, message_hub=dict(loss=history)),
    }


def pickled(module: str, name: str) -> bytes:
    """The opcode that names something."""
    return f'c{module}\n{name}\n'.encode()


def text(content: str) -> bytes:
    """The opcode of a text."""
    return b'X' + struct.pack('<I', len(content)) + content.encode()


def number(content: int) -> bytes:
    """The opcode of a number of any size."""
    data = content.to_bytes(16, 'little', signed=True)
    return b'\x8a' + bytes([len(data)]) + data


def storage(numel: int, kind: bytes = b'', where: str = '0', legacy: bool = False) -> bytes:
    """The opcodes that refer to the memory of a tensor."""
    kind = kind or pickled('torch', 'FloatStorage')
    view = b'N' if legacy else b''
    return b'(' + text('storage') + kind + text(where) + text('cpu') + number(numel) + view + b'tQ'


def tensor(memory: bytes, size: int, stride: int = 1, offset: int = 0) -> bytes:
    """The opcodes of a vector."""
    hooks = pickled('collections', 'OrderedDict') + b')R'
    shape = number(size) + b'\x85' + number(stride) + b'\x85'
    rebuild = pickled('torch._utils', '_rebuild_tensor_v2')
    return rebuild + b'(' + memory + number(offset) + shape + b'\x89' + hooks + b'tR'


def entry(value: bytes) -> bytes:
    """A pickle of ``{'state_dict': {'weight': value}}``."""
    return b'\x80\x02}' + text('state_dict') + b'}' + text('weight') + value + b'ss.'


def archive(
    path: Path,
    content: bytes,
    records: tuple[tuple[str, bytes], ...] = (('data/0', b'\0' * 16),),
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Writes the archive that ``torch.save`` would, with any content."""
    entries = (('data.pkl', content), ('byteorder', b'little'), *records, ('version', b'3\n'))
    with zipfile.ZipFile(path, 'w', compression) as file, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of duplicate names
        for name, data in entries:
            file.writestr(f'archive/{name}', data)
    return path


def old_file(path: Path, content: bytes, data: bytes) -> Path:
    """Writes the format before PyTorch 1.6, with any content."""
    machine = dict(protocol_version=1001, little_endian=True, type_sizes={})
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, machine)]
    path.write_bytes(b''.join(parts) + content + pickle.dumps(['0'], 2) + data)
    return path


def crafted_pickles(canary: Path) -> dict[str, bytes]:
    """Writes pickles that no ordinary object gives, which run code or change what they name."""
    touch = text(f'touch {canary}')
    system = pickled('os', 'system')
    history = pickled('mmengine.logging.history_buffer', 'HistoryBuffer')
    rebuild = pickled('torch._utils', '_rebuild_tensor_v2')
    getattr_of = pickled('__builtin__', 'getattr')
    statistics = b'}' + text('mean') + system + b's'
    return {
        'object made by INST': entry(b'(' + touch + b'ios\nsystem\n'),
        'object made by OBJ': entry(b'(' + system + touch + b'o'),
        'object made by NEWOBJ': entry(pickled('subprocess', 'Popen') + touch + b'\x85\x81'),
        'name from the stack': entry(text('os') + text('system') + b'\x93' + touch + b'\x85R'),
        'attributes of a function': entry(rebuild + b'N}' + text('__module__') + touch + b's\x86b'),
        'attributes of a class': entry(history + b'N}' + text('mean') + rebuild + b's\x86b'),
        'item of a class': entry(history + text('mean') + rebuild + b's'),
        'statistics of a history': entry(
            history + b')\x81}' + text('statistics_methods') + statistics + b'sb'
        ),
        'other statistics of a history': entry(
            history
            + b')\x81}'
            + text('statistics_methods')
            + b'}'
            + text('mean')
            + rebuild
            + b'ssb'
        ),
        'statistics under another name': entry(
            history
            + b')\x81}'
            + text('statistics_methods')
            + b'}'
            + text('mean')
            + getattr_of
            + history
            + text('max')
            + b'\x86R'
            + b'ssb'
        ),
        'memory of a tensor': entry(
            tensor(storage(4), 4)
            + b'('
            + storage(4)
            + number(0)
            + number(HUGE)
            + b'\x85'
            + number(1)
            + b'\x85tb'
        ),
        'byte order': entry(
            pickled('numpy', 'dtype')
            + text('f8')
            + b'\x85R('
            + number(3)
            + text('>')
            + b'NNN'
            + number(-1) * 2
            + number(0)
            + b'tb'
        ),
        'attribute of a class': entry(getattr_of + history + text('__init__') + b'\x86R'),
        'subclasses': entry(getattr_of + history + text('__subclasses__') + b'\x86R)R'),
        'attribute of a tensor': entry(
            getattr_of + tensor(storage(4), 4) + text('numpy') + b'\x86R)R'
        ),
        'foreign memory': entry(b'(' + text('module') + system + text('a') + text('b') + b'tQ'),
        'memory named by a text': entry(b'Pos.system\n'),
        'memory of a foreign type': entry(storage(4, system)),
        'changed memory': entry(
            tensor(storage(4) + b'}' + text('numel') + number(HUGE) + b'sb', 4)
        ),
        'state of a tensor': entry(
            tensor(storage(4), 4) + b'}' + text('backward') + system + b'sb'
        ),
        'extension': entry(b'\x82\x01'),
        'codec': entry(pickled('_codecs', 'encode') + text('a') + text('zlib') + b'\x86R'),
        'structured array': entry(pickled('numpy', 'dtype') + text('O8') + b'\x85R'),
        'nothing on the stack': b'\x80\x02.',
        'no end': b'\x80\x02}',
        'wrong memo': b'\x80\x02h\x07.',
    }


def lying_files(folder: Path) -> dict[str, Path]:
    """Writes files that declare more than they hold."""
    huge_array = (
        pickled('numpy.core.multiarray', '_reconstruct')
        + pickled('numpy', 'ndarray')
        + number(HUGE)
        + b'\x85C\x01b\x87R'
    )
    array_call = pickled('numpy', 'ndarray') + number(HUGE) + b'\x85\x85R'
    four = b'\0' * 16
    declared = struct.pack('<q', 4) + four
    return {
        'memory larger than its record': archive(
            folder / 'memory.pth', entry(tensor(storage(HUGE), 4))
        ),
        'memory a little larger': archive(folder / 'little.pth', entry(tensor(storage(5), 4))),
        'memory without a record': archive(
            folder / 'record.pth', entry(tensor(storage(4, where='7'), 4))
        ),
        'tensor larger than its memory': archive(
            folder / 'tensor.pth', entry(tensor(storage(4), HUGE))
        ),
        'tensor beyond its memory': archive(
            folder / 'beyond.pth', entry(tensor(storage(4), 4, offset=1))
        ),
        'tensor that repeats a value': archive(
            folder / 'repeats.pth', entry(tensor(storage(4), HUGE, stride=0))
        ),
        'negative size': archive(folder / 'negative.pth', entry(tensor(storage(4), -1))),
        'array': archive(folder / 'array.pth', entry(huge_array)),
        'array by its class': archive(folder / 'class.pth', entry(array_call)),
        'array of bytes': archive(
            folder / 'bytes.pth', b'\x80\x05\x96' + struct.pack('<Q', HUGE) + b'a.'
        ),
        'notes without number': archive(folder / 'notes.pth', b'\x80\x02}r\xff\xff\xff\x7f.'),
        'text longer than the file': archive(folder / 'text.pth', b'\x80\x02X\xff\xff\xff\x7fa.'),
        'old text': old_file(folder / 'old_text.pth', b'\x80\x02X\xff\xff\xff\x7fa.', b''),
        'compressed': archive(
            folder / 'compressed.pth',
            entry(tensor(storage(4 << 20), 4)),
            (('data/0', b'\0' * (16 << 20)),),
            zipfile.ZIP_DEFLATED,
        ),
        'two of a name': archive(
            folder / 'twice.pth', entry(tensor(storage(4), 4)), (('data/0', four),) * 2
        ),
        'overlapping records': _overlap(folder / 'overlap.pth'),
        'old memory': old_file(
            folder / 'old_memory.pth', entry(tensor(storage(HUGE, legacy=True), 4)), declared
        ),
        'old tensor': old_file(
            folder / 'old_tensor.pth', entry(tensor(storage(4, legacy=True), HUGE)), declared
        ),
    }


def _overlap(path: Path) -> Path:
    """A zip bomb: many entries of the directory that share the same data."""
    archive(path, entry(tensor(storage(4096), 4)), (('data/0', b'\0' * 16384),))
    with zipfile.ZipFile(path, 'a') as file:
        data = file.getinfo('archive/data/0')
        for index in range(1, 50):
            copy = zipfile.ZipInfo(f'archive/data/{index}')
            copy.header_offset = data.header_offset
            copy.file_size = copy.compress_size = data.file_size
            copy.CRC = data.CRC
            file.filelist.append(copy)
            file.NameToInfo[copy.filename] = copy
        file._didModify = True
    return path


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Writes files that are no checkpoints, and patterns of what they are said to be."""
    whole = folder / 'whole.pth'
    torch.save(dict(state_dict=WEIGHTS, meta={}), whole)
    old = folder / 'old.pth'
    torch.save(dict(state_dict=WEIGHTS), old, _use_new_zipfile_serialization=False)
    contents = {
        'empty': (b'', 'it is empty'),
        'text': (b'weights: see the other folder\n', 'it is a text'),
        'web page': (b'<!DOCTYPE html><html>404</html>', 'it is a web page'),
        'error in XML': (b'<?xml version="1.0"?><Error/>', 'it is a web page'),
        'Git LFS': (b'version https://git-lfs.github.com/spec/v1\noid', 'run `git lfs pull`'),
        'wrong magic': (b'\x7fELF' + bytes(60), 'damaged or of another format'),
        'empty archive': (b'PK\x05\x06' + bytes(18), 'empty or damaged archive'),
        'other pickle': (pickle.dumps(dict(weight=[1]), 2), 'not one that torch.save wrote'),
        'new pickle': (pickle.dumps(dict(weight=[1]), 4), 'is in protocol 4 of pickle'),
        **{
            f'{share}% of an archive': (_beginning(whole, share), 'only a part of a checkpoint')
            for share in (10, 50, 90, 99)
        },
        **{
            f'{share}% of an old file': (_beginning(old, share), 'damaged|of which it holds')
            for share in (1, 10, 50, 90, 99)
        },
    }
    files = {}
    for index, (name, (content, pattern)) in enumerate(contents.items()):
        file = folder / f'broken_{index}.pth'
        file.write_bytes(content)
        files[name] = (file, pattern)

    damaged = bytearray(whole.read_bytes())
    position = damaged.index(b'_rebuild_tensor_v2')
    damaged[position : position + 4] = b'\xff\xff\xff\xff'
    (folder / 'damaged.pth').write_bytes(damaged)
    with zipfile.ZipFile(folder / 'document.pth', 'w') as document:
        document.writestr('word/document.xml', '<xml/>')
    with zipfile.ZipFile(folder / 'script.pth', 'w') as script:
        script.writestr('script/data.pkl', b'\x80\x02}.')
        script.writestr('script/constants.pkl', b'\x80\x02).')
    with tarfile.open(folder / 'tar.pth', 'w') as tar:
        tar.add(whole, 'storages')
    (folder / 'folder.pth').mkdir()
    torch.save([1, 2], folder / 'list.pth')
    torch.save(torch.ones(2), folder / 'tensor_alone.pth')
    safetensors = {
        'header.safetensors': struct.pack('<Q', HUGE) + b'{}',
        'page.safetensors': b'<!DOCTYPE html><html></html>',
        'offsets.safetensors': _safetensors(b'[0,4000000000]') + bytes(16),
        'short.safetensors': _safetensors(b'[0,16]') + bytes(8),
    }
    for name, content in safetensors.items():
        (folder / name).write_bytes(content)
    return files | {
        'flipped bytes': (folder / 'damaged.pth', 'damaged'),
        'other archive': (folder / 'document.pth', 'not one that torch.save wrote'),
        'TorchScript': (folder / 'script.pth', 'TorchScript program'),
        'tar': (folder / 'tar.pth', 'tar archive'),
        'folder': (folder / 'folder.pth', 'is a folder'),
        'list': (folder / 'list.pth', 'no weights by name, but a list'),
        'tensor': (folder / 'tensor_alone.pth', 'no weights by name, but a Tensor'),
        **{name: (folder / name, 'damaged') for name in safetensors},
    }


def _beginning(file: Path, share: int) -> bytes:
    content = file.read_bytes()
    return content[: len(content) * share // 100]


def _safetensors(offsets: bytes) -> bytes:
    header = b'{"weight":{"dtype":"F32","shape":[4],"data_offsets":' + offsets + b'}}'
    return struct.pack('<Q', len(header)) + header
