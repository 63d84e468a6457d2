"""Masks as the lengths of runs of pixels, which begin with pixels that do not belong to them."""

from collections.abc import Sequence

import numpy as np

from segheads.mistakes import UserMistake

from .records import shortened


def decode_runs(counts: Sequence[int], height: int, width: int) -> np.ndarray:
    """Decodes run lengths.

    Args:
        counts (Sequence[int]): Lengths of the runs.
        height (int): Height of what is encoded row by row.
        width (int): Its width.

    Returns:
        numpy.ndarray: (height, width) in bool.

    Raises:
        UserMistake: If the lengths do not add up to height times width.
    """
    try:
        runs = np.array(counts, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UserMistake(f'{shortened(counts)} are no run lengths') from error
    # By parts: the sum of large numbers may overflow.
    if runs.ndim != 1 or (runs < 0).any() or (runs > height * width).any():
        raise UserMistake(f'{shortened(counts)} are no run lengths of {width}x{height} pixels')
    if runs.sum() != height * width:
        raise UserMistake(f'run lengths add up to {runs.sum()} pixels, not to {width}x{height}')
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)


def runs_of_text(text: str | bytes) -> list[int]:
    """Reads COCO's text of run lengths.

    Each character holds five bits of a number, the lowest first, and a sixth that says that there
    are more. From the third number on it is the difference to the last but one. pycocotools has a
    decoder, which reads beyond the end of damaged texts.

    Args:
        text (str | bytes): The text.

    Returns:
        list[int]: The run lengths.

    Raises:
        UserMistake: If it is none.
    """
    data = text.encode('ascii', 'replace') if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for character in data:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise UserMistake(f'{shortened(text)} are no run lengths')
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:  # negative
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise UserMistake(f'{shortened(text)} are no run lengths: it ends early')
    return runs
