"""Images and masks in folders, found by their names."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from segheads.mistakes import UserMistake

from .records import listed
from .source_files import SourceFiles, split_of

IMAGE_FOLDERS = {
    'image', 'images', 'img', 'imgs', 'photo', 'photos', 'picture', 'pictures', 'frame', 'frames',
    'input', 'inputs', 'rgb', 'jpegimages', 'leftimg8bit', 'original', 'originals', 'raw',
}  # fmt: skip
MASK_FOLDERS = {
    'mask', 'masks', 'annotation', 'annotations', 'annot', 'ann', 'label', 'labels', 'labelled',
    'gt', 'gtfine', 'groundtruth', 'ground_truth', 'seg', 'segmentation', 'segmentations', 'target',
    'targets', 'segmentationclass', 'segmentationclasspng', 'labelids', 'class_masks',
}  # fmt: skip
# As in train_labels and trainannot, photo_mask.png and photo_gtFine_labelIds.png.
MASK_FOLDER_ENDS = re.compile(r'(_|-|(?<=train)|(?<=val)|(?<=test))(masks?|labels?|annot|gt|seg)$')
MASK_NAME_ENDS = re.compile(
    r'([_.-](gtfine|labelids|labeltrainids|masks?|labels?|annotations?|annot|gt|seg|'
    r'segmentation|matte|l))+$',
    re.IGNORECASE,
)
IMAGE_NAME_ENDS = re.compile(r'[_.-](leftimg8bit|image|img|rgb|sat)$', re.IGNORECASE)


class Pair(NamedTuple):
    """An image and its masks.

    Attributes:
        image (Path): The image.
        masks (dict[str | None, Path]): The mask of each class, or the only one under None.
        split (str | None): 'train', 'val' or 'test', if folders say it.
    """

    image: Path
    masks: dict[str | None, Path]
    split: str | None


class Pairs(NamedTuple):
    """All pairs of a source.

    Attributes:
        pairs (list[Pair]): Images with a mask for all classes, or one for each.
        without_mask (list[Path]): Images that have none.
        without_image (list[Path]): Masks that have none.
    """

    pairs: list[Pair]
    without_mask: list[Path]
    without_image: list[Path]

    @property
    def by_class(self) -> bool:
        """Whether masks are those of single classes."""
        return sum(None not in pair.masks for pair in self.pairs) * 2 > len(self.pairs)


def find_pairs(files: SourceFiles, images: Path | None, masks: Path | None) -> Pairs:
    """Pairs images with masks by names and folders.

    ``images/a.jpg`` goes with ``masks/a.png``, ``train/images/a.jpg`` with ``train/masks/a.png``,
    ``a.jpg`` with ``a_mask.png``; for the class car ``images/a.jpg`` goes with ``masks/car/a.png``,
    ``masks/a/car.png`` or ``masks/a_car.png``.

    Args:
        files (SourceFiles): The source.
        images (Path | None): The folder of the images, if the user named it.
        masks (Path | None): The folder of the masks, if the user named it.

    Returns:
        Pairs: What was found.
    """
    photographs: dict[tuple[str, ...], Path] = {}
    candidates: list[tuple[Path, tuple[str, ...]]] = []
    for file in files.images:
        if masks and file.is_relative_to(masks):
            candidates.append((file, _key(file.relative_to(masks), True)))
        elif images and file.is_relative_to(images):
            photographs.setdefault(_key(file.relative_to(images), False), file)
        elif not (masks and images):
            path = PurePosixPath(files.relative(file))
            if images or not masks and _looks_like_mask(path):
                candidates.append((file, _key(path, True)))
            else:
                photographs.setdefault(_key(path, False), file)
    by_stem = defaultdict(list)
    for key in photographs:
        by_stem[key[-1]].append(key)
    found: dict[tuple[str, ...], dict[str | None, Path]] = defaultdict(dict)
    without_image = []
    for mask, key in candidates:
        fitting = (each for each in _partners(key, mask) if each[0] in photographs)
        same = by_stem[key[-1]]
        partner, name = next(fitting, (same[0] if len(same) == 1 else None, None))
        if partner is None:
            without_image.append(mask)
        else:
            found[partner].setdefault(name, mask)
    pairs = []
    for key, masks_of_image in found.items():
        image = photographs[key]
        split = split_of(files.relative(image))
        split = split or split_of(files.relative(next(iter(masks_of_image.values()))))
        pairs.append(Pair(image, masks_of_image, split))
    unpaired = [image for key, image in photographs.items() if key not in found]
    return Pairs(sorted(pairs), unpaired, without_image)


def notes_of(pairs: Pairs, files: SourceFiles) -> list[str]:
    """Tells which files have no partner."""
    notes = []
    for what, paths in (('images have no mask', pairs.without_mask),
                        ('masks have no image', pairs.without_image)):  # fmt: skip
        if paths:
            names = listed([files.relative(path) for path in paths], 3)
            notes.append(f'{len(paths)} {what} and are left out: {names}')
    return notes


def require_one_mask(pair: Pair) -> Path:
    """Returns the mask of an image in a source without masks of single classes.

    Raises:
        UserMistake: If it has no such mask.
    """
    if None not in pair.masks:
        raise UserMistake(f'it has masks of single classes, {listed([*pair.masks])}, others not')
    return pair.masks[None]


def _looks_like_mask(path: PurePosixPath) -> bool:
    for part in reversed(path.parts[:-1]):
        folder = part.lower()
        if folder in MASK_FOLDERS or MASK_FOLDER_ENDS.search(folder):
            return True
        if folder in IMAGE_FOLDERS:
            return False
    return MASK_NAME_ENDS.search(path.stem) is not None


def _key(path: Path | PurePosixPath, is_mask: bool) -> tuple[str, ...]:
    """Returns what an image and its mask have in common: folders and name in lower case."""
    folders = []
    for part in path.parts[:-1]:
        folder = part.lower()
        if folder not in IMAGE_FOLDERS | MASK_FOLDERS:
            folders.append(MASK_FOLDER_ENDS.sub('', folder))
    ends = MASK_NAME_ENDS if is_mask else IMAGE_NAME_ENDS
    return *folders, ends.sub('', path.stem).lower()


def _partners(key: tuple[str, ...], mask: Path) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Yields keys that the image of a mask may have, with the class if the path names it."""
    yield key, None
    for index in reversed(range(len(key) - 1)):
        # None for a folder such as train_masks, which is no class.
        name = next((part for part in reversed(mask.parts) if part.lower() == key[index]), None)
        yield (*key[:index], *key[index + 1 :]), name
    if len(key) > 1:
        yield key[:-1], mask.stem
    for separator in re.finditer('[_-]', key[-1]):
        yield (*key[:-1], key[-1][: separator.start()]), mask.stem[separator.end() :]
