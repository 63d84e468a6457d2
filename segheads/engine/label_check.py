"""Looks at the labels in a sample of masks before training does."""

import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.registry import TRANSFORMS

from .mistakes import UserMistake

MASKS_TO_READ = 40
SECONDS_TO_READ = 5.0


def check_labels(
    dataset: BaseSegDataset,
    load_annotations: Mapping[str, Any],
    key: str,
    ignore_indices: Collection[int],
) -> None:
    """Checks that masks hold the data set's classes and ignored pixels only.

    This reads a sample: up to 40 masks, evenly spaced over the data set, fewer if reading takes
    more than 5 seconds. It finds wrong conventions, which all masks of a data set share, not a
    single broken mask.

    Args:
        dataset (BaseSegDataset): The data set, with its list of files loaded.
        load_annotations (Mapping): Config of the transform by which training reads masks.
        key (str): Dotted key of the data set in the config.
        ignore_indices (Collection[int]): Labels allowed besides the classes.

    Raises:
        UserMistake: If masks hold other labels, are black-and-white or colour images, or cannot
            be read; the sentence has the labels seen and allowed.
    """
    if dataset.metainfo.get('classes') is None:
        return
    seen = _sample_labels(dataset, load_annotations, key)
    classes = range(len(dataset.metainfo['classes']))
    outside = sorted(set(seen) - set(classes) - set(ignore_indices))
    nothing_to_learn = set(seen) <= set(ignore_indices) or (
        set(seen) == {0, 255} and len(classes) > 1 and not dataset.reduce_zero_label
    )
    if not outside and not nothing_to_learn:
        return
    example = seen[outside[0]] if outside else seen[max(seen)]
    hints = _hints(set(seen), outside, len(classes), dataset.reduce_zero_label)
    raise UserMistake(
        f'{key}: the masks hold the labels {_ranges(seen)} (for example {example}), but '
        f'{len(classes)} classes allow {_ranges(classes)}, and {_ranges(ignore_indices)} for '
        f'ignored pixels; {hints}correct the masks, or the classes of {key}'
    )


def _sample_labels(
    dataset: BaseSegDataset, load_annotations: Mapping[str, Any], key: str
) -> dict[int, str]:
    """Reads masks as training does; returns the labels seen, with a mask that has each."""
    load = TRANSFORMS.build(dict(load_annotations))
    deadline = time.monotonic() + SECONDS_TO_READ
    count = min(MASKS_TO_READ, len(dataset))
    seen: dict[int, str] = {}
    for index in np.linspace(0, len(dataset) - 1, count).astype(int):
        info = dataset.get_data_info(int(index))
        path = info['seg_map_path']
        try:
            mask = load(info)['gt_seg_map']
        except AssertionError as error:
            raise UserMistake(f'{key}: {error}') from error
        except OSError as error:
            raise UserMistake(f'{key}: the mask {path} cannot be read ({error})') from error
        if mask.ndim != 2:
            raise UserMistake(
                f'{key}: the mask {path} is a colour image of shape {mask.shape}; masks need one '
                'channel that holds the class id of each pixel'
            )
        for label in np.unique(mask):
            seen.setdefault(int(label), path)
        if time.monotonic() > deadline:
            break
    return seen


def _hints(seen: set[int], outside: list[int], count: int, reduce_zero_label: bool) -> str:
    """Names the usual causes that fit what was seen."""
    hints = []
    if seen <= {0, 1, 255} and 255 in seen:
        hints.append('if these are black-and-white masks, write 1 instead of 255 into them')
    if outside == [count] and not reduce_zero_label:
        hints.append(
            'if 0 means "unlabelled" and the classes start at 1, set reduce_zero_label=True in '
            'the data set and in LoadAnnotations'
        )
    if reduce_zero_label:
        hints.append(
            'reduce_zero_label=True has ignored 0 and subtracted 1 from the rest: set it to False '
            'in the data set and in LoadAnnotations if 0 is a class'
        )
    return ''.join(f'{hint}; ' for hint in hints)


def _ranges(numbers: Collection[int]) -> str:
    """Writes numbers in short: ``0-3, 7, 255``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ', '.join('-'.join(str(end) for end in run) for run in runs)
