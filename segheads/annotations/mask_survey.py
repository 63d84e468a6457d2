"""What masks hold whose source does not say it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segheads.mistakes import UserMistake

from .label_masks import distinct, open_mask, packed, read_colors, read_values
from .records import Color, Failure
from .source_files import SourceFiles

MOST_COLORS = 256
LOSSY = ('.jpg', '.jpeg', '.jfif')


@dataclass(frozen=True)
class Content:
    """What one mask holds.

    Attributes:
        values (list[int]): Its values, or its colours as numbers.
        is_color (bool): Whether it has colours that are no palette.
        palette (Mapping[int, Color]): The colours of its values, if it has a palette.
    """

    values: list[int]
    is_color: bool
    palette: Mapping[int, Color]

    def color(self, value: int) -> int:
        """Returns the colour of a value, as a number."""
        if self.is_color:
            return value
        return packed(self.palette.get(value, (value, value, value)))


@dataclass(frozen=True)
class Survey:
    """What the masks of a source hold.

    Attributes:
        values (list[int]): Values or colours, in order.
        is_color (bool): Whether they are colours.
        palette (Mapping[int, Color]): The colours of values, if the masks have one palette.
        failures (list[Failure]): Masks that cannot be read.
    """

    values: list[int]
    is_color: bool
    palette: Mapping[int, Color]
    failures: list[Failure]


def survey(files: SourceFiles, masks: Sequence[Path]) -> Survey:
    """Looks into every mask of a source.

    Args:
        files (SourceFiles): The source.
        masks (Sequence[Path]): Its masks.

    Returns:
        Survey: What they hold.

    Raises:
        UserMistake: If they hold so many colours that these cannot be classes, or if they were
            saved with loss.
    """
    contents, failures = [], []
    for mask, content in zip(masks, files.in_parallel(_look, masks, 'looking'), strict=True):
        if isinstance(content, Content):
            contents.append(content)
        else:
            failures.append(Failure(files.relative(mask), content))
    palettes = [content.palette for content in contents]
    is_color = any(content.is_color for content in contents) or _contradict(palettes)
    values: set[int] = set()
    for content in contents:
        values.update(map(content.color, content.values) if is_color else content.values)
    if len(values) > MOST_COLORS and is_color:
        raise UserMistake(
            f'the masks of {files.root} hold {len(values)} colours: too many for classes; masks '
            'must be saved without loss and without smoothed edges, as PNG'
        )
    if len(values) > 2 and not is_color and any(m.suffix.lower() in LOSSY for m in masks):
        raise UserMistake(
            f'the masks of {files.root} are JPEG, which changes values: they hold {len(values)}; '
            'save them as PNG, or if they are black and white, put them into a folder named as '
            'their class, as masks/CLASS, whose masks are read by a threshold'
        )
    palette = {} if is_color else {k: v for each in palettes for k, v in each.items()}
    return Survey(sorted(values), is_color, palette, failures)


def _look(path: Path) -> Content | str:
    try:
        image = open_mask(path)
        if image.mode == 'P':
            colors = np.reshape(image.getpalette('RGB') or [], (-1, 3)).tolist()
            values = distinct(read_values(path))
            return Content(values, False, {v: tuple(colors[v]) for v in values if v < len(colors)})
        if image.mode in ('RGB', 'RGBA', 'CMYK', 'YCbCr', 'PA', 'LAB', 'HSV'):
            colors = distinct(read_colors(path))
            # Enough to see what is wrong, without the memory for all of them.
            colors = colors[: MOST_COLORS + 1]
            if any(value != (value & 0xFF) * 0x010101 for value in colors):
                return Content(colors, True, {})
            return Content([value & 0xFF for value in colors], False, {})
        return Content(distinct(read_values(path)), False, {})
    except UserMistake as mistake:
        return str(mistake)


def _contradict(palettes: Iterable[Mapping[int, Color]]) -> bool:
    """Tells whether masks draw the same value in different colours: then colours count."""
    known: dict[int, Color] = {}
    return any(
        known.setdefault(value, color) != color
        for palette in palettes
        for value, color in palette.items()
    )
