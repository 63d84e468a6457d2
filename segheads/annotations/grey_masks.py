"""Masks in which values stand for classes: shades of grey, or the indices of a palette."""

from collections.abc import Sequence

from segheads.mistakes import UserMistake

from .color_masks import naming_note
from .label_masks import LabelMask
from .mask_pairs import Pairs, notes_of, require_one_mask
from .mask_survey import Survey
from .records import Failure, Record, Source, SourceClass
from .source_files import SourceFiles

FORMAT = 'grey masks'
CUSTOMARY_IGNORED = 255
BINARY = ('background', 'foreground')


def read_grey_masks(
    files: SourceFiles, pairs: Pairs, survey: Survey, names: Sequence[str] | None
) -> Source:
    """Reads images with masks of values.

    Args:
        files (SourceFiles): The source.
        pairs (Pairs): What was found in it.
        survey (Survey): The values in the masks.
        names (Sequence[str] | None): The name of each value from 0 on, if a file has them.

    Returns:
        Source: The classes in the order of their values, and the images.
    """
    source = Source(FORMAT, notes=notes_of(pairs, files), covers_all=True)
    source.failures += survey.failures
    ignores = leaves_out_255(survey.values) or (names and CUSTOMARY_IGNORED >= len(names))
    values = [v for v in survey.values if not (ignores and v == CUSTOMARY_IGNORED)]
    named: dict[int, str | None] = {}
    if names:
        named = dict(enumerate(names))
    elif len(values) == 2 and values[0] == 0 and (values[1] in (1, CUSTOMARY_IGNORED)):
        named = dict(zip(values, BINARY, strict=True))
        source.notes.append(f'0 is taken for {BINARY[0]} and {values[1]} for {BINARY[1]}')
    elif values:
        named = {value: str(value) for value in values}
        source.notes.append(naming_note('value', [str(value) for value in values]))
    classes = [SourceClass(name, survey.palette.get(v)) for v, name in named.items()]
    source.classes = list({each.name: each for each in classes}.values())
    if ignores and CUSTOMARY_IGNORED in survey.values:
        source.notes.append('the value 255 is taken for pixels that shall not count')
        named[CUSTOMARY_IGNORED] = None
    unreadable = {failure.what for failure in survey.failures}
    for pair in pairs.pairs:
        name = files.relative(pair.image)
        try:
            mask = require_one_mask(pair)
        except UserMistake as mistake:
            source.failures.append(Failure(name, str(mistake)))
            continue
        if files.relative(mask) not in unreadable:
            source.records.append(
                Record(pair.image, name, LabelMask(mask, named), files.relative(mask), pair.split)
            )
    return source


def leaves_out_255(values: Sequence[int]) -> bool:
    """Tells whether 255 marks pixels that do not count.

    It does where the other values are class ids, which follow one another with few gaps, and not in
    masks of 0 and 255 or of 0, 127 and 255.
    """
    others = [value for value in values if value != CUSTOMARY_IGNORED]
    return CUSTOMARY_IGNORED in values and len(others) > 1 and max(others) + 1 <= 2 * len(others)
