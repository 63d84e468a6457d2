"""Twelve images with their masks drawn over: a shifted or swapped mask is seen at once."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from segheads.data.image_files import ImagePipeline
from segheads.data.mask_files import decode_mask
from segheads.inference.drawing import BACKGROUND, INK, class_areas, draw_legend, paint

from .records import SourceClass
from .writing import Written

COLUMNS, ROWS = 4, 3
TILE = (400, 300)  # width and height that an image is fitted into
CAPTION = 24
OPACITY = 0.45


def choose(written: Sequence[Written], count: int) -> list[Written]:
    """Chooses images that show all classes if possible, and are spread over the data set.

    Args:
        written (Sequence[Written]): All images.
        count (int): How many to choose.

    Returns:
        list[Written]: At most that many, in their order.
    """
    chosen: list[int] = []
    seen: set[int] = set()
    while len(chosen) < min(count, len(written)):
        news = [len(pair.pixels.keys() - seen) for pair in written]
        best = int(np.argmax(news))
        if news[best] == 0:
            break
        chosen.append(best)
        seen |= written[best].pixels.keys()
    rest = [index for index in range(len(written)) if index not in chosen]
    missing = min(count - len(chosen), len(rest))
    chosen += [rest[index] for index in np.linspace(0, len(rest) - 1, missing).astype(int)]
    return [written[index] for index in sorted(chosen)]


def draw_contact_sheet(
    folder: Path, written: Sequence[Written], classes: Sequence[SourceClass]
) -> Image.Image:
    """Draws images of a data set with their masks and a legend.

    Args:
        folder (Path): The data set.
        written (Sequence[Written]): Its images.
        classes (Sequence[SourceClass]): Its classes.

    Returns:
        PIL.Image.Image: The picture.
    """
    pipeline = ImagePipeline([])
    chosen = choose(written, COLUMNS * ROWS)
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // COLUMNS)
    width, height = columns * TILE[0], rows * (TILE[1] + CAPTION)
    palette, names = [each.color for each in classes], [each.name for each in classes]
    areas = np.zeros(len(classes), np.int64)
    sheet = Image.new('RGB', (width, height), BACKGROUND)
    canvas, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, pair in enumerate(chosen):
        pixels = pipeline.read(str(folder / pair.image))['img'][..., ::-1]
        class_map = decode_mask((folder / pair.mask).read_bytes())
        areas += class_areas(class_map, len(classes))
        tile = Image.fromarray(_tile(pixels, class_map, palette))
        left, top = index % COLUMNS * TILE[0], index // COLUMNS * (TILE[1] + CAPTION)
        sheet.paste(tile, (left + (TILE[0] - tile.width) // 2, top + CAPTION))
        canvas.text((left + 6, top + 4), _fitting(pair.image, font), fill=INK, font=font)
    strip = draw_legend(areas, names, palette, max(width, 2 * TILE[0]))
    picture = Image.new('RGB', (max(width, strip.width), height + strip.height), BACKGROUND)
    picture.paste(sheet, (0, 0))
    picture.paste(strip, (0, height))
    return picture


def _tile(
    pixels: np.ndarray, class_map: np.ndarray, palette: Iterable[Sequence[int]]
) -> np.ndarray:
    """Draws one image, with the borders of its classes as lines."""
    scale = min((TILE[0] - 8) / pixels.shape[1], (TILE[1] - 8) / pixels.shape[0])
    size = [max(1, round(scale * length)) for length in pixels.shape[1::-1]]
    shown = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    labels = cv2.resize(class_map, size, interpolation=cv2.INTER_NEAREST)
    painted = paint(shown, labels, palette, OPACITY)
    border = np.zeros(labels.shape, bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    opaque = paint(shown, labels, palette, 1.0)
    painted[border] = opaque[border]
    return painted


def _fitting(text: str, font: ImageFont.ImageFont) -> str:
    """Shortens a text to the width of a tile."""
    while font.getlength(text) > TILE[0] - 12:
        text = f'...{text[4:]}'
    return text
