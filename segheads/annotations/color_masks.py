"""Masks in which colours stand for classes: of a palette file, or as they are found."""

from collections.abc import Sequence

from segheads.mistakes import UserMistake

from .label_masks import LabelMask, color_name, packed, unpacked
from .mask_pairs import Pairs, notes_of, require_one_mask
from .records import Failure, Record, Source, SourceClass
from .source_files import SourceFiles

FORMAT = 'RGB-coded masks'
BLACK = 0


def read_color_masks(
    files: SourceFiles, pairs: Pairs, palette: Sequence[SourceClass] | None, found: Sequence[int]
) -> Source:
    """Reads images with masks of colours.

    Args:
        files (SourceFiles): The source.
        pairs (Pairs): What was found in it.
        palette (Sequence[SourceClass] | None): The classes, if there is a palette file.
        found (Sequence[int]): Colours in the masks, which are the classes without one.

    Returns:
        Source: The classes, and the images.
    """
    source = Source(FORMAT, notes=notes_of(pairs, files), covers_all=True)
    if palette:
        source.classes = list({each.name: each for each in palette}.values())
        names = {packed(each.color): each.name for each in palette}
    else:
        colors = [unpacked(value) for value in found]
        source.classes = [SourceClass(color_name(color), color) for color in colors]
        names = dict(zip(found, map(color_name, colors), strict=True))
        source.notes.append(naming_note('colour', [each.name for each in source.classes]))
    uncovered = frozenset()
    if BLACK not in names:
        names, uncovered, source.covers_all = {**names, BLACK: None}, frozenset([BLACK]), False
        if palette:
            source.notes.append('black, which the palette does not name, is what is not labelled')
    for pair in pairs.pairs:
        name = files.relative(pair.image)
        try:
            mask = require_one_mask(pair)
        except UserMistake as mistake:
            source.failures.append(Failure(name, str(mistake)))
            continue
        annotation = LabelMask(mask, names, is_color=True, uncovered=uncovered)
        source.records.append(
            Record(pair.image, name, annotation, files.relative(mask), pair.split)
        )
    return source


def naming_note(what: str, names: Sequence[str]) -> str:
    """Says how classes are named that the source does not name."""
    lines = '\n'.join(f'    {name}: ' for name in names)
    return (
        f'the source does not name its classes; write a name behind each {what} into a file, and '
        f'import with `--classes FILE` (without a name it is ignored):\n{lines}'
    )
