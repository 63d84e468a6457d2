"""Looks at the labels in a sample of masks before training does."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.registry import TRANSFORMS

from segheads.mistakes import UserMistake, tell

MASKS_TO_READ = 40
SECONDS_TO_READ = 5.0
SECONDS_TO_READ_ALL = 60.0


def check_labels(
    dataset: BaseSegDataset,
    load_annotations: Mapping[str, Any],
    key: str,
    ignore_indices: Collection[int],
) -> None:
    """Checks that masks hold the data set's classes and ignored pixels only.

    This reads a sample: up to 40 masks, evenly spaced over the data set, fewer if reading takes
    more than 5 seconds. It finds wrong conventions, which all masks of a data set share, not a
    single broken mask. A sample in which there is nothing to learn may be one of rare objects: more
    masks are read then, up to a minute long, until there is something; nothing at all stops a
    training, and is told otherwise.

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
    count = min(MASKS_TO_READ, len(dataset))
    indices = np.linspace(0, len(dataset) - 1, count).astype(int)
    masks = _read_labels(dataset, load_annotations, key, indices)
    seen, _ = _collect(masks, SECONDS_TO_READ)
    is_read = False
    if not labels_outside(seen, len(dataset.metainfo['classes']), ignore_indices):
        if teaches_nothing(seen, dataset, ignore_indices):
            rest = np.setdiff1d(np.arange(len(dataset)), indices)
            masks = _read_labels(dataset, load_annotations, key, rest)
            more, is_read = _collect(
                masks,
                SECONDS_TO_READ_ALL,
                lambda labels: not teaches_nothing({*seen, *labels}, dataset, ignore_indices),
            )
            seen = {**more, **seen}
    fault = label_fault(seen, dataset, key, ignore_indices)
    if fault is None:
        return
    outside = labels_outside(seen, len(dataset.metainfo['classes']), ignore_indices)
    if outside or (is_read and key.startswith('train')):
        raise UserMistake(fault)
    tell(f'{fault} (nothing else was found in the masks that were read).')


def label_fault(
    seen: Mapping[int, str], dataset: BaseSegDataset, key: str, ignore_indices: Collection[int]
) -> str | None:
    """Compares the labels that masks hold with those that a data set allows.

    Args:
        seen (Mapping[int, str]): A mask for each label, as training sees it.
        dataset (BaseSegDataset): A data set that knows its classes.
        key (str): Its dotted key in the config.
        ignore_indices (Collection[int]): Labels allowed besides the classes.

    Returns:
        str | None: What is wrong, and what may have caused it; None if the labels are right.
    """
    classes = range(len(dataset.metainfo['classes']))
    outside = labels_outside(seen, len(classes), ignore_indices)
    if not outside and not teaches_nothing(seen, dataset, ignore_indices):
        return None
    example = seen[outside[0]] if outside else seen[max(seen)]
    hints = label_hints(set(seen), outside, len(classes), dataset.reduce_zero_label)
    return (
        f'{key}: the masks hold the labels {number_ranges(seen)} (for example {example}), but '
        f'{len(classes)} classes allow {number_ranges(classes)}, and '
        f'{number_ranges(ignore_indices)} for ignored pixels; '
        f'{"".join(f"{hint}; " for hint in hints)}correct the masks, or the classes of {key}'
    )


def teaches_nothing(
    seen: Iterable[int], dataset: BaseSegDataset, ignore_indices: Collection[int]
) -> bool:
    """Tells whether masks hold ignored pixels only, or are black and white by their values.

    Args:
        seen (Iterable[int]): Labels in the masks, as training sees them.
        dataset (BaseSegDataset): A data set that knows its classes.
        ignore_indices (Collection[int]): Labels allowed besides the classes.

    Returns:
        bool: Whether nothing could be learnt from them.
    """
    labels = set(seen)
    has_more = len(dataset.metainfo['classes']) > 1 and not dataset.reduce_zero_label
    return labels <= set(ignore_indices) or (labels == {0, 255} and has_more)


def labels_outside(
    seen: Iterable[int], num_classes: int, ignore_indices: Collection[int]
) -> list[int]:
    """Returns the labels that are neither a class nor ignored, in order."""
    return sorted(set(seen) - set(range(num_classes)) - set(ignore_indices))


def _read_labels(
    dataset: BaseSegDataset,
    load_annotations: Mapping[str, Any],
    key: str,
    indices: Iterable[int],
) -> Iterator[tuple[str, np.ndarray]]:
    """Reads masks as training does; yields the path of each and the labels in it."""
    load = TRANSFORMS.build(dict(load_annotations))
    for index in indices:
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
        yield path, np.unique(mask)


def _collect(
    masks: Iterator[tuple[str, np.ndarray]],
    seconds: float,
    is_enough: Callable[[Iterable[int]], bool] = lambda labels: False,
) -> tuple[dict[int, str], bool]:
    """Collects labels, with a mask that has each, until time is over or there are enough.

    Returns:
        tuple[dict[int, str], bool]: The labels, and whether all masks were read.
    """
    deadline = time.monotonic() + seconds
    seen: dict[int, str] = {}
    for path, labels in masks:
        for label in labels:
            seen.setdefault(int(label), path)
        if is_enough(seen) or time.monotonic() > deadline:
            return seen, False
    return seen, True


def label_hints(
    seen: set[int], outside: list[int], count: int, reduce_zero_label: bool
) -> list[str]:
    """Names the usual causes of labels outside the classes that fit what was seen.

    Args:
        seen (set[int]): Labels in the masks, as training sees them.
        outside (list[int]): Those that are neither a class nor ignored, in order.
        count (int): Number of classes of the data set.
        reduce_zero_label (bool): Its setting of that name.

    Returns:
        list[str]: Conditions with what to do, such as 'if ..., set ...'.
    """
    hints = []
    if seen <= {0, 1, 255} and 255 in seen:
        hints.append('if these are black-and-white masks, write 1 instead of 255 into them')
    elif outside == [255]:
        hints.append(
            'if 255 marks pixels without a label, set ignore_index=255 in model.decode_head and in '
            'the evaluators'
        )
    if outside == [count] and not reduce_zero_label:
        hints.append(
            'if 0 means "unlabelled" and the classes start at 1, set reduce_zero_label=True in '
            'the data set and in LoadAnnotations'
        )
    if len(outside) == 1 and outside != [255] and 0 in seen:
        hints.append(
            f'if {outside[0]} marks pixels without a label, write 255 instead of it into the masks '
            f'(or set ignore_index={outside[0]} in model.decode_head and in the evaluators, and '
            f'seg_pad_val={outside[0]} in model.data_preprocessor)'
        )
    if reduce_zero_label:
        hints.append(
            'reduce_zero_label=True has ignored 0 and subtracted 1 from the rest: set it to False '
            'in the data set and in LoadAnnotations if 0 is a class'
        )
    return hints


def number_ranges(numbers: Collection[int]) -> str:
    """Writes numbers in short: ``0-3, 7, 255``."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ', '.join('-'.join(str(end) for end in run) for run in runs)
