"""How large the images of a data folder are."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from segheads.annotations.mask_pairs import Pair, require_one_mask
from segheads.mistakes import UserMistake

# More take long to open and show nothing else.
PAIRS_TO_MEASURE = 200
SMALLEST_SIDE = 32


def measure(pairs: Sequence[Pair], skip_damaged: bool) -> list[tuple[int, int]]:
    """Reads how large images are, and whether their masks are as large.

    Args:
        pairs (Sequence[Pair]): Images with their masks, of which up to 200 are looked at, evenly
            spaced.
        skip_damaged (bool): Whether to go on without files that cannot be read.

    Returns:
        list[tuple[int, int]]: Width and height of each.

    Raises:
        UserMistake: If a mask has another size than its image, if an image is smaller than
            32 pixels, or if files cannot be read.
    """
    count = min(len(pairs), PAIRS_TO_MEASURE)
    chosen = [pairs[index] for index in np.linspace(0, len(pairs) - 1, count).astype(int)]
    with ThreadPoolExecutor() as pool:
        sizes = list(pool.map(partial(_size_of_pair, skip_damaged=skip_damaged), chosen))
    readable = [size for size in sizes if size is not None]
    if not readable:
        raise UserMistake(f'no image beside {chosen[0].image} can be read')
    smallest = min(readable, key=min)
    if min(smallest) < SMALLEST_SIDE:
        image = chosen[sizes.index(smallest)].image
        raise UserMistake(
            f'{image} has {smallest[0]}x{smallest[1]} pixels, and networks need {SMALLEST_SIDE} or '
            'more per side; enlarge images and masks'
        )
    return readable


def _size_of_pair(pair: Pair, skip_damaged: bool) -> tuple[int, int] | None:
    try:
        image, mask = _size(pair.image), _size(require_one_mask(pair))
    except UserMistake:
        if skip_damaged:
            return None
        raise
    # A photograph that is to be turned has a mask that is turned already.
    if mask not in (image, image[::-1]):
        raise UserMistake(
            f'{require_one_mask(pair)} has {mask[0]}x{mask[1]} pixels, and its image {pair.image} '
            f'{image[0]}x{image[1]}; draw it again, at the size of the image'
        )
    return mask


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except Exception as error:  # decoders raise anything for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserMistake(
            f'{path} cannot be read ({reason}); copy it again, or go on without it by '
            '--skip-damaged'
        ) from error
