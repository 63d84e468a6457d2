"""What kind of file a checkpoint is, told from its first bytes as PyTorch does."""

import tarfile
import zipfile
from pathlib import Path

from segheads.weights.files import INDEX_ENDING, weights_in_folder

ZIP_START = b'PK\x03\x04'
PICKLE_START = b'\x80'
GIT_LFS_START = b'version https://git-lfs'


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or not without risk; its text is a sentence for the user.

    The command-line tools answer it like any mistake of a user, without a traceback.
    """


def checkpoint_file(path: str | Path) -> Path:
    """Finds the file of a checkpoint: of a folder, that of the weights in it.

    Args:
        path (str | Path): A file; or a folder, as transformers' ``save_pretrained`` writes it.

    Returns:
        Path: The file, which need not exist unless it is in a folder.

    Raises:
        CheckpointError: If a folder holds no weights under a name that is known.
    """
    file = Path(path).expanduser()
    if not file.is_dir():
        return file
    found = weights_in_folder(file)
    if found is None:
        raise CheckpointError(f'{path} is a folder; name the checkpoint in it')
    return found


def file_format(path: str | Path) -> str:
    """Tells the format of a checkpoint, without reading its weights.

    Args:
        path (str | Path): A local file, or a folder as for :func:`checkpoint_file`.

    Returns:
        str: 'zip', what ``torch.save`` writes; 'legacy', what it wrote until PyTorch 1.6;
        'safetensors'; or 'index', which lists the files of several parts.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is no checkpoint; the sentence says what it is instead.
    """
    file = checkpoint_file(path)
    if not file.is_file():
        raise FileNotFoundError(f'the checkpoint {path} does not exist')
    if file.name.endswith(INDEX_ENDING):
        return 'index'
    if file.suffix == '.safetensors':
        return 'safetensors'
    with file.open('rb') as stream:
        start = stream.read(512)
    if start.startswith(ZIP_START):
        _check_archive(file, path)
        return 'zip'
    if start.startswith(PICKLE_START):
        return 'legacy'
    raise CheckpointError(f'{path} is not a checkpoint of PyTorch: {_describe(file, start)}')


def _check_archive(file: Path, path: str | Path) -> None:
    if not zipfile.is_zipfile(file):
        raise CheckpointError(
            f'{path} is only a part of a checkpoint: its end is missing; copy or download it again'
        )
    with zipfile.ZipFile(file) as archive:
        names = {name.rpartition('/')[2].lower() for name in archive.namelist()}
    if 'constants.pkl' in names:
        raise CheckpointError(
            f'{path} is a TorchScript program, which runs code; a checkpoint holds weights only'
        )


def _describe(file: Path, start: bytes) -> str:
    """Tells what a file is that has been taken for a checkpoint, and what to do."""
    if not start:
        return 'it is empty; copy or download it again'
    if start.startswith(GIT_LFS_START):
        return 'it is the pointer that Git LFS leaves in its place; run `git lfs pull`'
    if start.lstrip().lower().startswith((b'<!doctype', b'<html', b'<?xml', b'<head')):
        return 'it is a web page, probably an error of the server; download it again'
    if tarfile.is_tarfile(file):
        return 'it is a tar archive; unpack it, and save again what PyTorch 0.1 wrote as one'
    if start.startswith(b'PK'):
        return 'it is an empty or damaged archive; copy or download it again'
    if b'\0' not in start and start.isascii():
        return 'it is a text'
    return 'its beginning is damaged or of another format; copy or download it again'
