"""Class maps drawn over their images, with a legend."""

from collections.abc import Sequence

import numpy as np
from mmseg.models import BaseSegmentor
from PIL import Image, ImageDraw, ImageFont

from segheads.mistakes import UserMistake

from .images import ImageLike, read_image
from .prediction import predict

PIXELS_AT_ONCE = 2**20
BACKGROUND, INK, OUTLINE = 'white', (30, 30, 30), (130, 130, 130)


def draw(
    model: BaseSegmentor,
    image: ImageLike,
    class_map: np.ndarray | None = None,
    opacity: float = 0.5,
    legend: bool = True,
) -> Image.Image:
    """Draws a class map over its image.

    Args:
        model (BaseSegmentor): The model that predicted it, for names and colours of the classes.
        image (ImageLike): The image, as given to :func:`segheads.predict`. What is no picture of
            three channels and 8 bits is shown as :func:`segheads.inference.pictures.as_picture`
            says.
        class_map (numpy.ndarray | None): Class indices, (H, W). Pixels of other indices, such as
            255 in ground truth, show the image. Default: None, which predicts it.
        opacity (float): 0 shows the image, 1 the colours of the classes only. Default: 0.5.
        legend (bool): Whether to list below the classes that occur, by area. Default: True.

    Returns:
        PIL.Image.Image: The picture. Without a legend it has the size of the image.

    Raises:
        UserMistake: If the class map has another size than the image, or ``opacity`` is not in
            [0, 1].
    """
    loaded = read_image(model, image)
    if class_map is None:
        class_map = predict(model, loaded)
    pixels = loaded.picture
    meta = model.dataset_meta
    overlay = Image.fromarray(paint(pixels, class_map, meta['palette'], opacity))
    if not legend:
        return overlay
    areas = class_areas(class_map, len(meta['classes']))
    strip = draw_legend(areas, meta['classes'], meta['palette'], overlay.width)
    picture = Image.new('RGB', (strip.width, overlay.height + strip.height), BACKGROUND)
    picture.paste(overlay, (0, 0))
    picture.paste(strip, (0, overlay.height))
    return picture


def paint(
    image: np.ndarray, class_map: np.ndarray, palette: Sequence[Sequence[int]], opacity: float
) -> np.ndarray:
    """Mixes an image with the colours of the classes.

    Args:
        image (numpy.ndarray): (H, W, 3) in uint8.
        class_map (numpy.ndarray): Class indices, (H, W).
        palette (Sequence): A colour per class.
        opacity (float): Share of the colours, from 0 to 1.

    Returns:
        numpy.ndarray: (H, W, 3) in uint8.

    Raises:
        UserMistake: If the sizes differ, or ``opacity`` is not in [0, 1].
    """
    if class_map.shape != image.shape[:2]:
        raise UserMistake(
            f'the class map has the shape {class_map.shape} and its image {image.shape[:2]}; '
            'they must be equal'
        )
    if not 0 <= opacity <= 1:
        raise UserMistake(f'the opacity must lie between 0 and 1, but is {opacity}')
    colours = np.asarray(palette, dtype=np.float32)
    painted = np.empty_like(image)
    # By strips: in floating point a large image takes many times the memory of its 8 bits.
    strip = max(1, PIXELS_AT_ONCE // image.shape[1])
    for top in range(0, len(image), strip):
        rows = slice(top, top + strip)
        classes, pixels = class_map[rows], image[rows]
        is_class = (classes >= 0) & (classes < len(palette))
        weight = np.where(is_class, np.float32(opacity), 0)[..., None]
        mixed = pixels + weight * (colours[np.where(is_class, classes, 0)] - pixels)
        painted[rows] = np.rint(mixed)
    return painted


def class_areas(class_map: np.ndarray, num_classes: int) -> np.ndarray:
    """Counts the pixels of each class.

    Args:
        class_map (numpy.ndarray): Class indices, (H, W).
        num_classes (int): Number of classes; other indices are not counted.

    Returns:
        numpy.ndarray: Pixels, (num_classes,).
    """
    indices = class_map[(class_map >= 0) & (class_map < num_classes)]
    return np.bincount(indices, minlength=num_classes)


def draw_legend(
    areas: np.ndarray,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    width: int,
    rows: int | None = None,
) -> Image.Image:
    """Draws a strip that names the classes that occur, those with the largest areas first.

    Args:
        areas (numpy.ndarray): Pixels of each class, (C,).
        classes (Sequence[str]): Their names.
        palette (Sequence): Their colours.
        width (int): Width in pixels; the strip gets wider if a name takes more.
        rows (int | None): Rows of the strip: classes that do not fit are left out, and the width
            is kept. Default: None, which is as many as it takes.

    Returns:
        PIL.Image.Image: The strip.
    """
    size = int(np.clip(width / 45, 12, 28))
    font = ImageFont.load_default(size)
    line, gap = round(1.6 * size), size // 2
    present = [index for index in np.argsort(-areas, kind='stable') if areas[index]]
    labels = {index: f'{classes[index]}  {areas[index] / areas.sum():.1%}' for index in present}
    widths = {i: size + gap + round(font.getlength(label)) for i, label in labels.items()}
    if rows is None:
        width = max(width, *(each + 2 * gap for each in widths.values()), 0)

    left, row, places = gap, 0, {}
    for index in present:
        if left > gap and left + widths[index] + gap > width:
            left, row = gap, row + 1
        if rows is not None and row == rows:
            break
        places[index] = (left, gap + row * line)
        left += widths[index] + 3 * gap

    height = (rows or row + 1) * line + 2 * gap
    strip = Image.new('RGB', (width, height), BACKGROUND)
    canvas = ImageDraw.Draw(strip)
    for index, (x, y) in places.items():
        box = (x, y + (line - size) // 2, x + size, y + (line + size) // 2)
        canvas.rectangle(box, fill=tuple(palette[index]), outline=OUTLINE)
        middle = (x + size + gap, y + line // 2)
        canvas.text(middle, labels[index], fill=INK, font=font, anchor='lm')
    return strip
