"""Folders as annotation tools leave them, tiny, and what an import makes of them."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segheads.annotations.importing import Report, import_annotations

HEIGHT, WIDTH = 8, 10
X = 255  # pixels that shall not count


class Imported:
    """A data set that has been imported.

    Args:
        folder (Path): The data set.
        report (Report): What the import returned.
        said (list[str]): What it told while it ran.
    """

    def __init__(self, folder: Path, report: Report, said: list[str]) -> None:
        self.folder = folder
        self.report = report
        self.said = said
        self.description = json.loads((folder / 'dataset.json').read_text('utf-8'))
        self.names = [each['name'] for each in self.description['classes']]

    def file(self, name: str, kind: str = 'mask') -> Path:
        """Finds the mask, or the image, of a name without folder and suffix."""
        entries = self.description['files']
        (found,) = [entry[kind] for entry in entries if Path(entry[kind]).stem == name]
        return self.folder / found

    def mask(self, name: str = 'a') -> list[list[int]]:
        """Reads a mask as training does."""
        return np.asarray(Image.open(self.file(name))).tolist()

    def splits(self) -> dict[str, str]:
        """Returns the split of each image by its name."""
        paths = [Path(entry['image']) for entry in self.description['files']]
        return {path.stem: path.parent.name for path in paths}

    def failures(self) -> dict[str, str]:
        """Returns the reason for each file that could not be converted."""
        return dict(self.report.failures)


def import_here(source: Path, **settings: Any) -> Imported:
    """Imports a folder into ``data`` beside it."""
    said: list[str] = []
    out = source.parent / f'data_of_{source.name}'
    report = import_annotations(source, out, tell=said.append, **settings)
    return Imported(out, report, said)


def save(pixels: Any, path: Path, palette: list[int] | None = None) -> Path:
    """Writes an array as an image file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels, np.uint8))
    if palette:
        # All 256 entries: Pillow stores fewer bits, and other indices, where there are few.
        image.putpalette(palette + [0] * (768 - len(palette)))
    image.save(path)
    return path


def photograph(path: Path, height: int = HEIGHT, width: int = WIDTH) -> Path:
    """Writes an image that depends on its name."""
    shade = sum(path.stem.encode()) % 256
    return save(np.full((height, width, 3), shade, np.uint8), path)


def write_json(content: Any, path: Path) -> Path:
    """Writes JSON; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding='utf-8')
    return path


def png_in_base64(pixels: Any) -> str:
    """Writes an array as the text of a PNG."""
    content = BytesIO()
    Image.fromarray(np.asarray(pixels)).save(content, 'PNG')
    return base64.b64encode(content.getvalue()).decode()


def boxed(value: int, top: int, left: int, bottom: int, right: int, rest: int = X) -> list:
    """Returns the class map of a rectangle, whose last row and column do not count."""
    class_map = np.full((HEIGHT, WIDTH), rest)
    class_map[top:bottom, left:right] = value
    return class_map.tolist()
