"""What a folder of images and masks holds: which pairs, of which sizes, in which split."""

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segheads.annotations.label_masks import LabelMask
from segheads.annotations.mask_pairs import Pair, Pairs, find_pairs, notes_of, require_one_mask
from segheads.annotations.records import Record
from segheads.annotations.source_files import SourceFiles
from segheads.annotations.splits import TRAIN, VAL, SplitRule, split
from segheads.mistakes import UserMistake

from .classes import Classes, find_classes
from .image_sizes import measure

IMAGES, MASKS = ('images',), ('annotations', 'masks')
IMPORT = '`segheads import SOURCE --out DATA` makes what is needed of nearly any layout'
LARGEST_DIFFERENCE = 0.25


@dataclass(frozen=True)
class SplitFiles:
    """The images and masks of a split.

    Attributes:
        image_folder (Path): What the names are below.
        mask_folder (Path): What the masks are below, under the same names but for the ending.
        mask_suffix (str): What follows an image's name without its suffix in that of its mask.
        names (list[str]): The images, with their suffixes.
    """

    image_folder: Path
    mask_folder: Path
    mask_suffix: str
    names: list[str]


@dataclass(frozen=True)
class DataSurvey:
    """What a data folder holds.

    Attributes:
        folder (Path): The folder.
        splits (dict[str, SplitFiles]): Files of 'train', 'val' and, if there is one, 'test'.
        is_drawn (bool): Whether the validation images were drawn by a hash of the names.
        classes (Classes): The classes, and what stands for pixels that do not count.
        size (tuple[int, int]): Median height and width of the images.
        sizes_differ (bool): Whether some images are more than a quarter larger or smaller.
        notes (list[str]): What the user should know.
    """

    folder: Path
    splits: dict[str, SplitFiles]
    is_drawn: bool
    classes: Classes
    size: tuple[int, int]
    sizes_differ: bool
    notes: list[str]

    def count(self, name: str) -> int:
        """Counts the images of a split."""
        return len(self.splits[name].names)


def survey_data(folder: str | Path, skip_damaged: bool = False) -> DataSurvey:
    """Looks at a folder of images and masks.

    Args:
        folder (str | Path): What `segheads import` wrote, or a folder with ``images/`` and
            ``annotations/`` or ``masks/``, with ``train`` and ``val`` in or above these, or
            without.
        skip_damaged (bool): Whether to go on without files that cannot be read. Default: False.

    Returns:
        DataSurvey: What it holds.

    Raises:
        UserMistake: If there is no such folder, if images and masks do not belong together, are
            fewer than two, smaller than 32 pixels, or of different sizes, or if masks do not hold
            the classes.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise UserMistake(
            f'--data {folder} is {"no folder" if folder.exists() else "not there"}; give a folder '
            'with images/ and annotations/ in it'
        )
    folder = folder.resolve()
    files = SourceFiles(folder)
    images = _first_folder(folder, IMAGES)
    masks = _first_folder(folder, MASKS)
    # One alone says nothing of where the others are.
    found = find_pairs(files, *((images, masks) if images and masks else (None, None)))
    _require_pairs(found, folder, files)
    splits, is_drawn, split_notes = _split(found.pairs, folder, files)
    sizes = measure(found.pairs, skip_damaged)
    width, height = (int(statistics.median(side)) for side in zip(*sizes, strict=True))
    mask_paths = [require_one_mask(pair) for pair in found.pairs]
    return DataSurvey(
        folder=folder,
        splits={name: _as_mmseg_lists(pairs, name, folder) for name, pairs in splits.items()},
        is_drawn=is_drawn,
        classes=find_classes(folder, mask_paths, skip_damaged),
        size=(height, width),
        sizes_differ=any(
            abs(each / usual - 1) > LARGEST_DIFFERENCE
            for size in sizes
            for each, usual in zip(size, (width, height), strict=True)
        ),
        notes=[*notes_of(found, files), *split_notes],
    )


def _first_folder(folder: Path, names: Sequence[str]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _require_pairs(found: Pairs, folder: Path, files: SourceFiles) -> None:
    if found.by_class:
        raise UserMistake(
            f'{folder} has a mask for each class of an image; {IMPORT}, and --data takes DATA'
        )
    if len(found.pairs) > 1:
        return
    if found.pairs:
        raise UserMistake(
            f'{folder} has one pair of image and mask only; one image more is needed at least, for '
            'the validation'
        )
    if not files.images:
        raise UserMistake(f'{folder} holds no image; {IMPORT}')
    if not found.without_image:
        raise UserMistake(
            f'{folder} holds {len(files.images)} images and no mask: there is no folder '
            f'annotations/ or masks/ with a mask for each image; {IMPORT}'
        )
    if not found.without_mask:
        raise UserMistake(f'{folder} holds masks and no image: put these into images/')
    image, mask = found.without_mask[0], found.without_image[0]
    raise UserMistake(
        f'no mask of {folder} has the name of an image: there are {files.relative(image)} and '
        f'{files.relative(mask)}, for example; name masks as their images are, but for the suffix'
    )


def _split(
    pairs: Sequence[Pair], folder: Path, files: SourceFiles
) -> tuple[dict[str, list[Pair]], bool, list[str]]:
    """Puts pairs into splits, as folders say or by the rule of `segheads import`."""
    records = [
        Record(
            pair.image,
            files.relative(pair.image),
            LabelMask(require_one_mask(pair), {}),
            files.relative(require_one_mask(pair)),
            pair.split,
        )
        for pair in pairs
    ]
    made = split(records, SplitRule())
    splits: dict[str, list[Pair]] = {}
    for pair, record in zip(pairs, records, strict=True):
        splits.setdefault(made.of[record.name], []).append(pair)
    missing = [name for name in (TRAIN, VAL) if name not in splits]
    if missing:
        raise UserMistake(
            f'{folder} leaves no image for {" and ".join(missing)}: {_counts(splits)}; add images'
        )
    return splits, made.by == 'hash', made.notes


def _counts(splits: dict[str, list[Pair]]) -> str:
    return ', '.join(f'{len(pairs)} in {name}' for name, pairs in splits.items())


def _as_mmseg_lists(pairs: Sequence[Pair], name: str, folder: Path) -> SplitFiles:
    """Finds two folders and one suffix that lead from each image to its mask."""
    image_folder = _common_folder([pair.image for pair in pairs])
    mask_folder = _common_folder([require_one_mask(pair) for pair in pairs])
    names, suffixes = [], Counter()
    for pair in pairs:
        image = pair.image.relative_to(image_folder)
        mask = require_one_mask(pair).relative_to(mask_folder).as_posix()
        stem = image.with_suffix('').as_posix()
        if not mask.startswith(stem):
            raise UserMistake(
                f'the mask {mask} is not named as its image {image} is, and --data takes no other '
                f'names; {IMPORT}'
            )
        names.append(image.as_posix())
        suffixes[mask[len(stem) :]] += 1
    if len(suffixes) > 1:
        endings = ', '.join(sorted(suffixes))
        raise UserMistake(
            f'the masks of {name} in {folder} end in {endings}: --data needs the same for all; '
            f'{IMPORT}'
        )
    return SplitFiles(image_folder, mask_folder, next(iter(suffixes)), names)


def _common_folder(paths: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([path.parent for path in paths]))
