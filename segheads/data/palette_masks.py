"""Class ids as pictures: a viewer shows colours, and the values are still the ids."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

# With 255 for pixels without a class.
MOST_BYTE_CLASSES = 255


def palette_image(ids: np.ndarray, colours: Sequence[Sequence[int]]) -> Image.Image:
    """Makes the picture of a mask or a class map, to be saved as PNG.

    Args:
        ids (numpy.ndarray): Class ids, (H, W), of any type of whole numbers.
        colours (Sequence): The colour [red, green, blue] of each id from 0 on, of every class.

    Returns:
        PIL.Image.Image: 8 bits with a palette; of more than 255 classes 16 bits, which PNG has in
        grey only.
    """
    image = Image.fromarray(ids.astype(type_of_ids(len(colours))))
    if len(colours) > MOST_BYTE_CLASSES:
        return image
    palette = np.zeros((MOST_BYTE_CLASSES + 1, 3), np.uint8)
    palette[: len(colours)] = np.asarray(colours, np.uint8).reshape(-1, 3)
    # A shorter palette would leave ids without a colour, such as 255, which some readers refuse.
    image.putpalette(palette.tobytes())
    return image


def type_of_ids(num_classes: int) -> str:
    """Returns the type that holds the ids of classes, and one for pixels without a class."""
    return 'uint8' if num_classes <= MOST_BYTE_CLASSES else 'uint16'
