"""A folder of binary masks for each class: ``images/a.jpg`` and ``masks/car/a.png``."""

from functools import partial
from pathlib import Path

import numpy as np

from segheads.mistakes import UserMistake

from .label_masks import open_mask
from .mask_pairs import Pairs, notes_of
from .rasterising import Bitmap, Shapes
from .records import Failure, Record, Source, SourceClass, class_name
from .source_files import SourceFiles

FORMAT = 'binary masks by class'


def read_binary_masks(files: SourceFiles, pairs: Pairs) -> Source:
    """Reads images with a mask for each class.

    Args:
        files (SourceFiles): The source.
        pairs (Pairs): What was found in it.

    Returns:
        Source: The classes in the order of the alphabet, and the images.
    """
    source = Source(FORMAT, notes=notes_of(pairs, files))
    names = set()
    for pair in pairs.pairs:
        name = files.relative(pair.image)
        if None in pair.masks:
            reason = f'its mask {files.relative(pair.masks[None])} is of no class'
            source.failures.append(Failure(name, reason))
            continue
        shapes = [
            Bitmap(label=class_name(label), decode=partial(read_binary, mask))
            for label, mask in sorted(pair.masks.items())
        ]
        names |= {shape.label for shape in shapes}
        origin = files.relative(next(iter(pair.masks.values())))
        source.records.append(Record(pair.image, name, Shapes(shapes), origin, pair.split))
    source.classes = [SourceClass(name) for name in sorted(names)]
    return source


def read_binary(path: Path, height: int, width: int) -> np.ndarray:
    """Reads a mask of one class: what is brighter than half of the brightest pixel.

    Args:
        path (Path): The file.
        height (int): Height of its image.
        width (int): Width of its image.

    Returns:
        numpy.ndarray: (height, width) in bool.

    Raises:
        UserMistake: If it cannot be read, or has another size.
    """
    image = open_mask(path)
    # Palette indices are values; Pillow would turn them into colours.
    is_grey = image.mode in ('1', 'L', 'P') or image.mode.startswith('I')
    values = np.asarray(image if is_grey else image.convert('L')).astype(np.int64)
    if values.shape != (height, width):
        raise UserMistake(
            f'its mask {path.parent.name}/{path.name} has {values.shape[1]}x{values.shape[0]} '
            f'pixels, not {width}x{height}'
        )
    return values > values.max(initial=0) / 2
