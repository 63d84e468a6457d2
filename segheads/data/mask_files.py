"""Mask files, read as class ids, of 8 or of 16 bits."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import mmcv
import numpy as np
from mmseg.datasets import BaseSegDataset
from PIL import Image

from segheads.mistakes import UserMistake

LARGEST_LABEL = 65535
# Pixels without a label, in data sets that have too many classes for it to be 255.
WIDE_IGNORED_LABEL = 65535

_pixel_limit = threading.Lock()


def decode_mask(content: bytes, decoder: str = 'pillow') -> np.ndarray:
    """Decodes a mask file as it is.

    Args:
        content (bytes): The file.
        decoder (str): ``imdecode_backend`` of LoadAnnotations. Default: 'pillow'.

    Returns:
        numpy.ndarray: Its values, (H, W), or (H, W, C) if it has several channels.

    Raises:
        ValueError: If it is not an image. Decoders raise any other error too.
    """
    try:
        mask = mmcv.imfrombytes(content, flag='unchanged', backend=decoder)
    except Image.DecompressionBombError:
        # Its image, which OpenCV reads, may have as many pixels.
        with without_pixel_limit():
            mask = mmcv.imfrombytes(content, flag='unchanged', backend=decoder)
    if mask is None:
        raise ValueError('not an image')
    return mask.squeeze() if mask.ndim > 2 else mask


def label_fault_of_file(mask: np.ndarray) -> str | None:
    """Tells why the values of a mask are no labels.

    Args:
        mask (numpy.ndarray): The mask, as :func:`decode_mask` returns it.

    Returns:
        str | None: What is wrong, such as 'holds -1 to 7 as int32'; None if every value is a whole
        number from 0 to 65535.
    """
    if mask.dtype in (np.bool_, np.uint8, np.uint16) or mask.size == 0:
        return None
    if mask.dtype.kind == 'f' and not np.array_equal(mask, np.rint(mask)):  # so is NaN
        return f'holds numbers that are not whole, as {mask.dtype}'
    smallest, largest = mask.min(), mask.max()
    if smallest < 0 or largest > LARGEST_LABEL:
        return f'holds {smallest:.0f} to {largest:.0f}, as {mask.dtype}'
    return None


def as_labels(mask: np.ndarray) -> np.ndarray:
    """Gives the values of a mask the smallest type that holds them.

    Args:
        mask (numpy.ndarray): Whole numbers from 0 to 65535, of any type.

    Returns:
        numpy.ndarray: The same in uint8, or in uint16 if some are above 255.
    """
    is_wide = mask.dtype.itemsize > 1 and mask.size > 0 and mask.max() > 255
    return mask.astype(np.uint16 if is_wide else np.uint8)


def check_wide_labels(dataset: BaseSegDataset, key: str, ignore_indices: Collection[int]) -> None:
    """Checks that a data set of more than 255 classes does not take 255 for something else.

    Args:
        dataset (BaseSegDataset): The data set.
        key (str): Its dotted key, for the sentence.
        ignore_indices (Collection[int]): Labels that a run skips.

    Raises:
        UserMistake: If 255 is ignored, or if ``reduce_zero_label`` or a selection of classes would
            write it into masks for pixels that do not count.
    """
    count = len(dataset.metainfo.get('classes') or ())
    if count <= 255:
        return
    if 255 in ignore_indices:
        raise UserMistake(
            f'{key} has {count} classes, of which 255 would never be learnt, because it is the '
            f'ignored label by default; set ignore_index={WIDE_IGNORED_LABEL} in model.decode_head '
            f'and the evaluators, and seg_pad_val={WIDE_IGNORED_LABEL} in model.data_preprocessor'
        )
    if dataset.reduce_zero_label:
        raise UserMistake(
            f'{key}: reduce_zero_label writes 255 for ignored pixels, which is one of the {count} '
            'classes; set it to False, and write class ids from 0 on into the masks, and '
            f'{WIDE_IGNORED_LABEL} for ignored pixels'
        )
    if list((dataset.label_map or {}).values()).count(255) > 1:
        raise UserMistake(
            f'{key}: classes that are left out get the label 255, which is one of the {count} '
            'classes; write the class ids of the selection into the masks, and '
            f'{WIDE_IGNORED_LABEL} for the others'
        )


@contextmanager
def without_pixel_limit() -> Iterator[None]:
    """Lifts Pillow's limit, which is meant for files of strangers, for one file."""
    with _pixel_limit:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
