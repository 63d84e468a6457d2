"""What a checkpoint may name: a pickle is read only if everything in it is listed here.

A pickle builds objects by naming functions and classes, and whoever writes it chooses the names.
These are the ones that PyTorch writes for tensors and MMEngine for its records. None of them
reaches code that a file could choose: where the original does, a narrower function takes its place.
"""

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer

LATIN1 = ('latin1', 'latin-1')
STATISTICS = ('min', 'max', 'current', 'mean')
NUMBERS = [
    np.dtype(name)
    for name in (
        *('bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64'),
        *('float16', 'float32', 'float64'),
    )
]
STORAGES = {
    'FloatStorage': torch.float32,
    'DoubleStorage': torch.float64,
    'HalfStorage': torch.float16,
    'BFloat16Storage': torch.bfloat16,
    'LongStorage': torch.int64,
    'IntStorage': torch.int32,
    'ShortStorage': torch.int16,
    'CharStorage': torch.int8,
    'ByteStorage': torch.uint8,
    'BoolStorage': torch.bool,
    'ComplexFloatStorage': torch.complex64,
    'ComplexDoubleStorage': torch.complex128,
}


def full_name(module: str, name: str) -> str:
    """Joins the two parts of a name in a pickle: ``posix.system``.

    The pickle protocol that PyTorch uses keeps the names of Python 2; these are given as today's.
    """
    module, name = NAME_MAPPING.get((module, name), (module, name))
    return f'{IMPORT_MAPPING.get(module, module)}.{name}'


def allow() -> None:
    """Allow ``torch.load`` to read what MMEngine writes into every checkpoint, and no more.

    Without this, resuming, testing and ``init_model`` fail, because PyTorch loads with
    ``weights_only=True``: "Unsupported global: mmengine.logging.history_buffer.HistoryBuffer".
    MMEngine 0.10 stores its log history as HistoryBuffer objects, which hold numpy arrays.
    MMEngine's fork allows these for the length of its own calls of ``torch.load``; here they stay
    allowed.
    """
    torch.serialization.add_safe_globals([(value, name) for name, value in record_types().items()])


@cache
def allowed_types() -> dict[str, Any]:
    """Lists everything that a checkpoint may name, tensors and records."""
    return tensor_types() | record_types()


def history_buffer_method(owner: type, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr`` in a checkpoint: find HistoryBuffer's statistics, else refuse.

    Args:
        owner (type): The class, which must be HistoryBuffer.
        name (str): The method.

    Returns:
        Callable: The method.

    Raises:
        UnpicklingError: If it is anything but a statistic of HistoryBuffer.
    """
    if owner is not HistoryBuffer or name not in STATISTICS:
        raise UnpicklingError(
            f'The checkpoint asks for the attribute {name!r} of {owner!r}; only '
            f'{", ".join(STATISTICS)} of HistoryBuffer are allowed.'
        )
    return getattr(HistoryBuffer, name)


def empty_array(kind: type, shape: tuple, code: bytes) -> np.ndarray:
    """Stand in for numpy's ``_reconstruct``, which allocates whatever size a file declares.

    Args:
        kind (type): Always ``numpy.ndarray`` in what numpy writes.
        shape (tuple): Always (0,).
        code (bytes): Always b'b'.

    Returns:
        np.ndarray: An empty array, which the pickle fills next; numpy compares sizes then.

    Raises:
        UnpicklingError: If an argument differs from what numpy writes.
    """
    if kind is not np.ndarray or shape != (0,) or code not in (b'b', 'b'):
        raise UnpicklingError('The checkpoint holds an array in a form that numpy does not write.')
    return np.empty(0, dtype=np.int8)


def number_dtype(name: str, *_: Any) -> np.dtype:
    """Stand in for ``numpy.dtype``: numbers only, neither objects nor structures.

    Args:
        name (str): Such as 'f8'.

    Returns:
        np.dtype: The data type.

    Raises:
        UnpicklingError: If it is not the data type of a number.
    """
    for dtype in NUMBERS:
        if name == dtype.str[1:]:
            return dtype
    raise UnpicklingError(f'The checkpoint holds an array of {name!r}, which is not a number.')


def record_types() -> dict[str, Any]:
    """Lists what MMEngine's checkpoints hold beside tensors, and so do the authors' files.

    ``argparse.Namespace`` is a bag of attributes, in which training scripts keep their settings:
    to fill it calls nothing.

    Returns:
        dict[str, Any]: Functions and classes by the names that stand in a checkpoint.
    """
    classes = {HistoryBuffer, Namespace, np.ndarray, *map(type, NUMBERS)}
    allowed = {f'{cls.__module__}.{cls.__qualname__}': cls for cls in classes}
    # A checkpoint has numpy's functions under the module name of the version that wrote it.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed[f'{module}._reconstruct'] = empty_array
        allowed[f'{module}.scalar'] = np.float64(0).__reduce__()[0]
    allowed['numpy.dtype'] = number_dtype
    # Pickle refers to the methods in a HistoryBuffer by `getattr`, which would reach anything.
    allowed['builtins.getattr'] = history_buffer_method
    return allowed


def tensor_types() -> dict[str, Any]:
    """Lists what PyTorch writes for tensors, parameters and their containers.

    Returns:
        dict[str, Any]: Functions, classes and values by the names that stand in a checkpoint.
    """
    rebuild = ('_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter')
    return {
        'collections.OrderedDict': OrderedDict,
        # Bytes, in the pickle protocol that PyTorch uses.
        '_codecs.encode': bytes_of_text,
        'torch.Size': torch.Size,
        'torch.device': torch.device,
        'torch.nn.parameter.Parameter': torch.nn.Parameter,
        **{f'torch._utils.{name}': getattr(torch._utils, name) for name in rebuild},
        **{name: storage for name, (storage, _) in storage_types().items()},
        **{str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)},
    }


@cache
def storage_types() -> dict[str, tuple[type, int]]:
    """Lists the classes that say of what data type a tensor's memory is.

    Returns:
        dict[str, tuple[type, int]]: The class and the bytes of one element, by name.
    """
    typed = {
        f'torch.{name}': (getattr(torch, name), dtype.itemsize) for name, dtype in STORAGES.items()
    }
    untyped = (torch.UntypedStorage, 1)
    return {**typed, 'torch.UntypedStorage': untyped, 'torch.storage.UntypedStorage': untyped}


def bytes_of_text(text: str, encoding: str) -> bytes:
    """Stand in for ``_codecs.encode``, which knows compressions and user-defined codecs too.

    Args:
        text (str): Bytes, written as characters.
        encoding (str): 'latin1'.

    Returns:
        bytes: The bytes.

    Raises:
        UnpicklingError: If the encoding is another.
    """
    if encoding not in LATIN1:
        raise UnpicklingError(f'The checkpoint holds bytes as {encoding!r} instead of latin1.')
    return text.encode('latin1')
