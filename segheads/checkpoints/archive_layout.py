"""Archives that Python and PyTorch read alike.

A checkpoint is inspected through Python's ``zipfile`` and loaded by PyTorch's own reader. The two
differ: one looks for the directory of the archive where it is declared, the other where it ends;
one ignores upper and lower case in names, and so on. Whoever writes a file could show harmless
content to the first and other content to the second. So only archives are accepted that have the
one form that ``torch.save`` writes, and in the end both readers must have seen the same.
"""

import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from .file_format import CheckpointError

PICKLE = 'data.pkl'
END, LOCATOR, END_64 = b'PK\x05\x06', b'PK\x06\x07', b'PK\x06\x06'
END_FORMAT = struct.Struct('<4s4H2LH')
LOCATOR_FORMAT = struct.Struct('<4sLQL')
END_64_FORMAT = struct.Struct('<4sQ2H2L4Q')
SATURATED = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
ENCRYPTED = 0x1 | 0x40 | 0x2000


def read_layout(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Checks that an archive has the form that ``torch.save`` writes.

    Args:
        path (Path): The file.
        archive (zipfile.ZipFile): The same file, opened.

    Returns:
        dict[str, zipfile.ZipInfo]: The records by name, without the folder that they are all in.

    Raises:
        CheckpointError: If Python and PyTorch might read it differently, or if it declares more
            data than it holds.
    """
    entries = archive.infolist()
    with path.open('rb') as stream:
        count = _check_end(stream, path.stat().st_size)
    if count != len(entries):
        raise CheckpointError(f'declares {count} records and lists {len(entries)}')
    folders = {entry.orig_filename.partition('/')[0] for entry in entries}
    records = {entry.orig_filename.partition('/')[2]: entry for entry in entries}
    if len(folders) != 1 or PICKLE not in records:
        raise CheckpointError('is an archive, but not one that torch.save wrote')
    if len({name.casefold() for name in records}) != len(entries):
        raise CheckpointError('holds records whose names are equal or differ in case alone')
    for name, entry in records.items():
        _check_record(name, entry)
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise CheckpointError('declares more data than the file holds')
    return records


def read_pickle(path: Path, archive: zipfile.ZipFile, records: dict[str, zipfile.ZipInfo]) -> bytes:
    """Reads the pickle of a checkpoint, which says what it consists of.

    Args:
        path (Path): The file.
        archive (zipfile.ZipFile): The same file, opened.
        records (dict[str, zipfile.ZipInfo]): From :func:`read_layout`.

    Returns:
        bytes: What both Python and PyTorch read.

    Raises:
        CheckpointError: If they read different things.
    """
    content = archive.read(records[PICKLE])
    reader = torch._C.PyTorchFileReader(str(path))
    if sorted(reader.get_all_records()) != sorted(records) or reader.get_record(PICKLE) != content:
        raise CheckpointError('is read differently by Python and by PyTorch')
    return content


def _check_end(stream: BinaryIO, file_size: int) -> int:
    """Checks that the directory ends where the file does, and returns the number of records."""
    end_at = file_size - END_FORMAT.size
    stream.seek(max(0, end_at))
    signature, *counts, size, start, comment = END_FORMAT.unpack(stream.read(END_FORMAT.size))
    if signature != END or comment:
        raise CheckpointError('has something behind the end of its archive')
    declared = (*counts[2:], size, start)
    directory_end = end_at
    stream.seek(max(0, end_at - LOCATOR_FORMAT.size))
    locator = stream.read(LOCATOR_FORMAT.size)
    if locator.startswith(LOCATOR):
        directory_end = end_at - LOCATOR_FORMAT.size - END_64_FORMAT.size
        _, disk, end_64_at, disks = LOCATOR_FORMAT.unpack(locator)
        if end_64_at != directory_end or disk or disks > 1:
            raise CheckpointError('has two ends of its archive')
        stream.seek(end_64_at)
        signature, length, _, _, *disks, here, count, size, start = END_64_FORMAT.unpack(
            stream.read(END_64_FORMAT.size)
        )
        if signature != END_64 or length != END_64_FORMAT.size - 12:
            raise CheckpointError('has two ends of its archive')
        counts = [*disks, here, count]
        wide = (here, count, size, start)
        if any(d not in (w, full) for d, w, full in zip(declared, wide, SATURATED, strict=True)):
            raise CheckpointError('has two ends of its archive')
    if any(counts[:2]) or counts[2] != counts[3] or start + size != directory_end:
        raise CheckpointError('has a directory elsewhere than at the end of its archive')
    return counts[3]


def _check_record(name: str, entry: zipfile.ZipInfo) -> None:
    shown = ascii(name)[1:-1]
    if entry.filename != entry.orig_filename:  # cut at a zero byte, or given twice
        raise CheckpointError(f'holds a record of two names ({shown})')
    parts = name.split('/')
    if not (name.isascii() and name.isprintable()) or '\\' in name or {'', '.', '..'} & {*parts}:
        raise CheckpointError(f'holds a record of a name that torch.save never gives ({shown})')
    if entry.flag_bits & ENCRYPTED:
        raise CheckpointError(f'holds encrypted data ({shown}), which torch.save never writes')
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise CheckpointError(f'holds compressed data ({shown}), which torch.save never writes')
