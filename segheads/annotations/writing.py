"""The folder that training reads: images, masks of class ids, and what is known of them."""

import errno
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from shutil import copyfile
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from segheads.data.image_files import ImagePipeline
from segheads.data.scan import EXIF_ORIENTATION
from segheads.mistakes import UserMistake

from .class_table import ClassTable
from .records import EmbeddedImage, Failure, Labels, Record, damage

IMAGES, MASKS = 'images', 'annotations'
IGNORED_COLOR = (224, 224, 192)  # as Pascal VOC has it
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class Written(NamedTuple):
    """A pair of image and mask in the data set.

    Attributes:
        image (str): Path of the image in the data set.
        mask (str): Path of the mask in the data set.
        origin (str): Path of the annotation in the source.
        split (str): 'train', 'val' or 'test'; empty as long as it is not drawn.
        pixels (Counter): Pixels of each label.
    """

    image: str
    mask: str
    origin: str
    split: str
    pixels: Counter


class DatasetWriter:
    """Writes a data set into a folder.

    Args:
        folder (Path): The folder, which is empty.
        table (ClassTable): The classes.
        labels (Labels): What masks are painted with.
    """

    def __init__(self, folder: Path, table: ClassTable, labels: Labels) -> None:
        self.folder = folder
        self.table = table
        self.labels = labels
        for kind in (IMAGES, MASKS):
            (folder / kind).mkdir()
        self._pipeline = ImagePipeline([])
        colors = np.full((256, 3), IGNORED_COLOR, np.uint8)
        colors[: min(len(table.classes), 256)] = [each.color for each in table.classes[:256]]
        self._palette = colors.tobytes()

    def write(self, record: Record, name: str) -> Written | Failure:
        """Writes an image and its mask, or neither.

        Args:
            record (Record): The image.
            name (str): Its file name in the data set, without a suffix.

        Returns:
            Written | Failure: What was written, not yet in a split, or why nothing was.
        """
        embedded = isinstance(record.image, EmbeddedImage)
        suffix = PurePosixPath(record.image.name).suffix
        image = self.folder / IMAGES / f'{name}{suffix}'
        mask = self.folder / MASKS / f'{name}.png'
        try:
            if embedded:
                image.write_bytes(record.image.read())
            else:
                link_or_copy(record.image, image)
            class_map = self.paint(record, image)
            self.save_mask(class_map, mask)
        except Exception as error:  # anything may be in the file
            for path in (image, mask):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            if getattr(error, 'errno', None) in DISK_FULL:
                raise
            reason = damage(error).replace(str(image), record.name)
            return Failure(record.name, reason)
        values, counts = np.unique(class_map, return_counts=True)
        pixels = Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        paths = (path.relative_to(self.folder).as_posix() for path in (image, mask))
        return Written(*paths, record.origin, '', pixels)

    def place(self, pair: Written, split: str) -> Written:
        """Moves an image and its mask into the folders of their split.

        Args:
            pair (Written): What :meth:`write` returned.
            split (str): 'train', 'val' or 'test'.

        Returns:
            Written: The same, with its new paths.
        """
        paths = []
        for path in map(PurePosixPath, (pair.image, pair.mask)):
            target = path.parent / split / path.name
            (self.folder / target.parent).mkdir(exist_ok=True)
            (self.folder / path).rename(self.folder / target)
            paths.append(target.as_posix())
        return Written(*paths, pair.origin, split, pair.pixels)

    def paint(self, record: Record, image: Path) -> np.ndarray:
        """Paints the mask of an image as training sees the image.

        Training turns a photograph as its EXIF data ask for. Annotation tools do so too; an
        annotation that was made on the pixels as they are stored is recognised by its size, and
        turned with the photograph.

        Args:
            record (Record): The image and its annotation.
            image (Path): The image file, read completely.

        Returns:
            numpy.ndarray: The class map, (H, W).

        Raises:
            UserMistake: If the image cannot be read, or the annotation is for another size.
        """
        upright = self._pipeline.read(str(image))['img'].shape[:2]
        size = record.size or record.annotation.size() or upright
        if size == upright:
            return record.annotation.paint(*upright, self.labels)
        orientation = orientation_of(image)
        if orientation > 4 and size == upright[::-1]:
            return turned(record.annotation.paint(*size, self.labels), orientation)
        raise UserMistake(
            f'it has {upright[1]}x{upright[0]} pixels, but its annotation is for '
            f'{size[1]}x{size[0]}'
        )

    def save_mask(self, class_map: np.ndarray, path: Path) -> None:
        """Writes a class map as PNG: of 8 bits with a palette, or of 16."""
        image = Image.fromarray(class_map)
        if class_map.dtype == np.uint8:
            image.putpalette(self._palette)
        image.save(path, optimize=False)

    def write_description(
        self, written: Iterable[Written], source: Mapping[str, str], split: Mapping[str, Any]
    ) -> None:
        """Writes ``dataset.json``.

        Args:
            written (Iterable[Written]): The pairs.
            source (Mapping): Format and path of the source.
            split (Mapping): How the split was made.
        """
        content = dict(
            version=1,
            classes=[
                dict(id=index, name=name, color=list(color))
                for index, (name, color) in enumerate(self.table.classes)
            ],
            ignore_index=self.table.ignored,
            source=dict(source),
            split=dict(split),
            files=[dict(image=w.image, mask=w.mask, origin=w.origin) for w in written],
        )
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (self.folder / 'dataset.json').write_text(text + '\n', encoding='utf-8', errors='replace')


def link_or_copy(source: Path, target: Path) -> None:
    """Puts a file into the data set.

    A hard link takes no room, and stays when the source is moved or deleted; a symbolic link would
    not. Where there can be none, as on another disk, the file is copied.

    Args:
        source (Path): The file.
        target (Path): Where it is wanted.
    """
    try:
        os.link(source.resolve(), target)
    except OSError:
        copyfile(source, target)


def orientation_of(path: Path) -> int:
    """Reads how the EXIF data of an image ask for it to be turned, from 1 to 8."""
    try:
        with Image.open(path) as image:
            return image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # of a kind that Pillow does not read
        return 1


def turned(class_map: np.ndarray, orientation: int) -> np.ndarray:
    """Turns a class map as EXIF data ask for."""
    image = Image.fromarray(class_map)
    image.getexif()[EXIF_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def name_files(records: Iterable[Record]) -> dict[str, str]:
    """Gives each image a file name of its own, without a suffix.

    It is the name in the source; where two images have the same but for folder, suffix or capitals,
    folders and suffix become a part of it.

    Args:
        records (Iterable[Record]): The images.

    Returns:
        dict[str, str]: Names in the data set by names in the source.
    """
    paths = [PurePosixPath(record.name) for record in records]
    stems = Counter(path.stem.lower() for path in paths)
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in paths:
        name = path.stem
        if stems[name.lower()] > 1 or name.startswith('.'):
            parts = [part.strip('.') for part in path.with_suffix('').parts if part not in '/..']
            name = '_'.join(part for part in parts if part)
        if name.lower() in taken:
            name += path.suffix.replace('.', '_')
        unique, number = name, 1
        while unique.lower() in taken:
            number += 1
            unique = f'{name}_{number}'
        taken.add(unique.lower())
        names[str(path)] = unique
    return names
