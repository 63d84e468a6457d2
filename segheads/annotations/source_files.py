"""The files of a source, and the images in it that annotations name."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from segheads.mistakes import UserMistake

from .records import damage, listed

IMAGE_SUFFIXES = {'.bmp', '.gif', '.jfif', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp'}
ARCHIVES = {'.7z', '.gz', '.rar', '.tar', '.tgz', '.zip'}
SPLITS = {
    'train': 'train',
    'training': 'train',
    'val': 'val',
    'valid': 'val',
    'validation': 'val',
    'test': 'test',
    'testing': 'test',
}

Item, Result = TypeVar('Item'), TypeVar('Result')
Track = Callable[[Iterable[Result], int, str], Iterable[Result]]


class SourceFiles:
    """What lies in a source.

    Args:
        source (Path): A folder, or an annotation file.
        images (Path | None): Where its images are, if that is another folder. Default: None.
        leave_out (Path | None): A folder that does not belong to it. Default: None.
        track (Callable | None): Takes an iterable, the number of its items and what is done, and
            shows a progress bar while they are taken. Default: None, for no bar.

    Attributes:
        root (Path): The folder, or that of the annotation file.
        files (list[Path]): All files in it, in order, or the annotation file alone.
        images (list[Path]): All images in it and in ``images``.

    Raises:
        UserMistake: If the source or ``images`` does not exist, is empty or is an archive.
    """

    def __init__(
        self,
        source: Path,
        images: Path | None = None,
        leave_out: Path | None = None,
        track: Track | None = None,
    ) -> None:
        if not source.exists():
            raise UserMistake(f'{source} does not exist; give a folder or an annotation file')
        if source.suffix.lower() in ARCHIVES and source.is_file():
            raise UserMistake(f'{source} is an archive; unpack it, and give the folder')
        if images is not None and not images.is_dir():
            raise UserMistake(f'--images {images} is no folder')
        self.root = source if source.is_dir() else source.parent
        self._track = track or (lambda items, total, description: items)
        inside = list(_walk(self.root, leave_out))
        self.files = inside if source.is_dir() else [source]
        if not self.files:
            raise UserMistake(f'{source} holds no file')
        self.images = [file for file in inside if file.suffix.lower() in IMAGE_SUFFIXES]
        if images is not None and not images.resolve().is_relative_to(self.root.resolve()):
            self.images += [f for f in _walk(images) if f.suffix.lower() in IMAGE_SUFFIXES]
        self._known = set(self.images)
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for image in self.images:
            self._by_name[image.name.lower()].append(image)
            self._by_stem[image.stem.lower()].append(image)

    def with_suffix(self, suffix: str) -> list[Path]:
        """Lists the files whose names end so, whatever their capitals."""
        return [file for file in self.files if file.name.lower().endswith(suffix)]

    def called(self, *names: str) -> list[Path]:
        """Lists the files with one of these names, whatever their capitals."""
        return [file for file in self.files if file.name.lower() in names]

    def relative(self, path: Path) -> str:
        """Writes a path as seen from the source, in the form of POSIX."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()

    def find_image(self, name: str, beside: Path) -> Path:
        """Finds the image that an annotation names.

        The name is tried as a path from the annotation file and from the source; then the images of
        that name are looked at, of which the one counts whose folders agree best.

        Args:
            name (str): What the annotation says, as any system writes paths.
            beside (Path): The annotation file.

        Returns:
            Path: The image.

        Raises:
            UserMistake: If there is none, or several that agree as well.
        """
        path = PurePosixPath(name.replace('\\', '/'))
        if not path.name or '\0' in name:
            raise UserMistake(f'{name!r} names no image')
        for folder in (beside.parent, self.root):
            direct = Path(os.path.normpath(folder / path))
            if direct in self._known or _is_image(direct):
                return direct
        return self._choose(self._by_name.get(path.name.lower(), []), path, name)

    def find_stem(self, stem: str, without: Collection[Path]) -> Path:
        """Finds the image that has a name but for its suffix.

        Args:
            stem (str): The name, which may have folders before it.
            without (Collection[Path]): Folders whose images do not count.

        Returns:
            Path: The image.

        Raises:
            UserMistake: If there is none, or several that agree as well.
        """
        path = PurePosixPath(stem)
        candidates = [
            image
            for image in self._by_stem.get(path.name.lower(), [])
            if not any(image.is_relative_to(folder) for folder in without)
        ]
        return self._choose(candidates, path, stem)

    def image_in(self, folder: Path, name: str) -> Path | None:
        """Finds the image of a folder that has a name, with its suffix or without it."""
        same = [folder / name, *(folder / f'{name}{suffix}' for suffix in IMAGE_SUFFIXES)]
        return next((image for image in same if image in self._known), None)

    def _choose(self, candidates: Sequence[Path], path: PurePosixPath, name: str) -> Path:
        if not candidates:
            raise UserMistake(f'its image {name} is not in the source; --images names its folder')
        folders = path.parent.parts
        agreement = [_common_end(folders, image.parent.parts) for image in candidates]
        pairs = zip(candidates, agreement, strict=True)
        best = [image for image, count in pairs if count == max(agreement)]
        if len(best) > 1:
            names = listed([self.relative(image) for image in best])
            raise UserMistake(f'its image {name} may be any of {names}')
        return best[0]

    def in_parallel(
        self, function: Callable[[Item], Result], items: Sequence[Item], description: str
    ) -> Iterator[Result]:
        """Applies a function to items by threads, and shows how far it is.

        Threads suffice, because decoding and drawing run outside of Python's lock.

        Args:
            function (Callable): What to do; it should not raise errors.
            items (Sequence): The items.
            description (str): What is done, in one word.

        Yields:
            Any: The results, in the order of the items.
        """
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            yield from self._track(pool.map(function, items), len(items), description)
        finally:
            pool.shutdown(cancel_futures=True)


def split_of(path: str | PurePosixPath) -> str | None:
    """Finds the split that the folders of a path name, the innermost first."""
    for part in reversed(PurePosixPath(path).parts[:-1]):
        if part.lower() in SPLITS:
            return SPLITS[part.lower()]
    return None


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Args:
        path (Path): The file, in UTF-8 with or without a byte-order mark.

    Returns:
        Any: What is in it.

    Raises:
        UserMistake: If it cannot be read, or is no JSON.
    """
    try:
        return json.loads(path.read_bytes().decode('utf-8-sig'))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        what = f'line {error.lineno}' if isinstance(error, json.JSONDecodeError) else 'not UTF-8'
        raise UserMistake(f'it is damaged: no JSON ({what})') from error
    except (OSError, RecursionError, ValueError) as error:
        raise UserMistake(damage(error)) from error


def read_text(path: Path) -> str:
    """Reads a text file in UTF-8, with or without a byte-order mark.

    Raises:
        UserMistake: If it cannot be read.
    """
    try:
        return path.read_bytes().decode('utf-8-sig')
    except OSError as error:
        raise UserMistake(f'{path} cannot be read: {error.strerror}') from error
    except UnicodeDecodeError as error:
        raise UserMistake(f'{path} is no text in UTF-8') from error


def _walk(folder: Path, leave_out: Path | None = None) -> Iterator[Path]:
    """Yields the files below a folder in order, without hidden ones and what archivers leave."""
    seen = {folder.resolve(), leave_out and leave_out.resolve()}
    for parent, folders, files in os.walk(folder, followlinks=True):
        inside = {name: Path(parent, name).resolve() for name in sorted(folders)}
        folders[:] = [
            name
            for name, real in inside.items()
            if not name.startswith(('.', '__MACOSX')) and real not in seen
        ]
        seen.update(inside.values())  # links may lead in circles
        yield from (Path(parent, name) for name in sorted(files) if not name.startswith('.'))


def _is_image(path: Path) -> bool:
    try:
        return path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
    except (OSError, ValueError):  # a name that the system does not take
        return False


def _common_end(parts: Sequence[str], others: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(parts), reversed(others), strict=False):
        if one.lower() != other.lower():
            break
        count += 1
    return count
