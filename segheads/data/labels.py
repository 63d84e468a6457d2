"""Looks at the labels in masks before training does."""

import itertools
import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.registry import TRANSFORMS

from segheads.mistakes import UserMistake, tell

from .mask_forms import colour_advice, file_hint, why_unreadable

MASKS_TO_READ = 40
SECONDS_TO_READ = 5.0
# Only where a sample shows nothing to learn; a data set of rare objects is not refused by it.
SECONDS_TO_READ_ON = 30.0
READ_AT_ONCE = 32
# Masks of that many labels that are no classes are photographs, or were resized smoothly.
MANY_LABELS = 20


class MaskLabels:
    """The labels that the masks of a data set hold, as training sees them.

    Args:
        dataset (BaseSegDataset): The data set, with its list of files loaded.
        load_annotations (Mapping): Config of the transform by which training reads masks.
        key (str): Dotted key of the data set in the config.
        ignore_indices (Collection[int]): Labels allowed besides the classes.

    Attributes:
        seen (dict[int, str]): A mask for each label.
        num_read (int): How many masks were read.
    """

    def __init__(
        self,
        dataset: BaseSegDataset,
        load_annotations: Mapping[str, Any],
        key: str,
        ignore_indices: Collection[int],
    ) -> None:
        self.dataset = dataset
        self.key = key
        self.ignore_indices = ignore_indices
        self.seen: dict[int, str] = {}
        self.num_read = 0
        count = min(MASKS_TO_READ, len(dataset))
        self._sample = np.linspace(0, len(dataset) - 1, count).astype(int).tolist()
        self._load = TRANSFORMS.build(dict(load_annotations))
        self._skips_damaged = bool((dataset.filter_cfg or {}).get('skip_damaged'))

    @property
    def teach_nothing(self) -> bool:
        """Whether no mask that was read has anything to learn in it."""
        return teach_nothing(self.seen, self.dataset, self.ignore_indices)

    @property
    def are_complete(self) -> bool:
        """Whether all masks were read."""
        return self.num_read == len(self.dataset)

    def read_sample(self) -> None:
        """Reads masks evenly spaced over the data set, for a few seconds at most."""
        deadline = time.monotonic() + SECONDS_TO_READ
        for index in self._sample:
            self._note(*self._read(index))
            if time.monotonic() > deadline:
                break

    def read_on(self, deadline: float) -> None:
        """Reads other masks until one has something to learn in it, or until it is late.

        Args:
            deadline (float): When to stop, by ``time.monotonic``.
        """
        done = set(self._sample[: self.num_read])
        others = (index for index in range(len(self.dataset)) if index not in done)
        with ThreadPoolExecutor() as pool:
            while self.teach_nothing and time.monotonic() < deadline:
                indices = list(itertools.islice(others, READ_AT_ONCE))
                if not indices:
                    break
                for labels, path in pool.map(self._read, indices):
                    self._note(labels, path)

    def _note(self, labels: Iterable[int], path: str) -> None:
        for label in labels:
            self.seen.setdefault(label, path)
        self.num_read += 1

    def _read(self, index: int) -> tuple[list[int], str]:
        info = self.dataset.get_data_info(index)
        path = info['seg_map_path']
        try:
            mask = self._load(info)['gt_seg_map']
        except UserMistake as mistake:  # values that are no labels, or two settings that differ
            raise UserMistake(f'{self.key}: {mistake}') from mistake
        except Exception as error:  # decoders raise anything for damaged files
            if self._skips_damaged:
                return [], path
            raise UserMistake(
                f'{self.key}: the mask {path} cannot be read ({why_unreadable(error)})'
            ) from error
        if mask.ndim != 2:
            raise UserMistake(
                f'{self.key}: the mask {path} is a colour image of shape {mask.shape}; masks need '
                f'one channel that holds the class id of each pixel: {colour_advice(mask)}'
            )
        return np.unique(mask).tolist(), path


def check_labels(masks: MaskLabels) -> None:
    """Checks that masks hold the data set's classes and ignored pixels only.

    This reads a sample: up to 40 masks, evenly spaced over the data set, fewer if reading takes
    more than 5 seconds. It finds wrong conventions, which all masks of a data set share, not a
    single broken mask.

    Args:
        masks (MaskLabels): The masks of a data set; nothing is read if it does not know its
            classes.

    Raises:
        UserMistake: If masks hold other labels, hold no class ids at all, or cannot be read; the
            sentence has the labels seen and allowed.
    """
    if masks.dataset.metainfo.get('classes') is None:
        return
    masks.read_sample()
    fault = label_fault(masks.seen, masks.dataset, masks.key, masks.ignore_indices)
    if fault:
        raise UserMistake(fault)


def check_learnable(masks: Sequence[MaskLabels], trains: bool) -> None:
    """Checks that the masks of all data sets of a split together have something to learn in them.

    Where the samples of :func:`check_labels` have nothing, other masks are read, for 30 seconds at
    most: objects may be rare. A split that is no training set may have nothing, as those of test
    servers have.

    Args:
        masks (Sequence[MaskLabels]): The masks of each data set.
        trains (bool): Whether the split is trained on.

    Raises:
        UserMistake: If all masks of a training set were read, and there is nothing to learn.
    """
    masks = [each for each in masks if each.num_read]
    deadline = time.monotonic() + SECONDS_TO_READ_ON
    if not masks or not all(each.teach_nothing for each in masks):
        return
    for each in masks:
        each.read_on(deadline)
        if not each.teach_nothing:
            return
    sentence = '; '.join(
        unlearnable(each.seen, each.dataset, each.key, each.ignore_indices, each.num_read)
        for each in masks
    )
    if trains and all(each.are_complete for each in masks):
        raise UserMistake(sentence)
    tell(f'{sentence}.')


def teach_nothing(
    seen: Iterable[int], dataset: BaseSegDataset, ignore_indices: Collection[int]
) -> bool:
    """Tells whether labels are ignored all, or are those of black-and-white masks.

    Args:
        seen (Iterable[int]): Labels, as training sees them.
        dataset (BaseSegDataset): A data set that knows its classes.
        ignore_indices (Collection[int]): Labels allowed besides the classes.

    Returns:
        bool: True also for 0 and 255 only, where 0 is one class of several: the object, which 255
        may stand for, is ignored.
    """
    labels = set(seen)
    several = len(dataset.metainfo['classes']) > 1 and not dataset.reduce_zero_label
    return labels <= set(ignore_indices) or (labels == {0, 255} and several)


def unlearnable(
    seen: Mapping[int, str],
    dataset: BaseSegDataset,
    key: str,
    ignore_indices: Collection[int],
    num_read: int,
) -> str:
    """Says that masks have nothing to learn in them, and what may have caused it.

    Args:
        seen (Mapping[int, str]): A mask for each label, as training sees it.
        dataset (BaseSegDataset): A data set that knows its classes.
        key (str): Its dotted key in the config.
        ignore_indices (Collection[int]): Labels allowed besides the classes.
        num_read (int): How many masks were read.

    Returns:
        str: The sentence.
    """
    count = len(dataset.metainfo['classes'])
    read = 'all' if num_read == len(dataset) else f'{num_read} of {len(dataset)}'
    hints = label_hints(set(seen), [], count, dataset.reduce_zero_label, ignore_indices)
    what = 'nothing' if set(seen) <= set(ignore_indices) else 'nothing but label 0'
    return (
        f'{key}: {read} masks hold the labels {number_ranges(seen)} only (for example '
        f'{seen[max(seen)]}), so that there is {what} to learn and to measure'
        f'{"".join(f"; {hint}" for hint in hints)}'
    )


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
    if not outside:
        return None
    example = seen[outside[0]]
    of_format = file_hint(example)
    hints = (
        [of_format]
        if of_format
        else label_hints(
            set(seen), outside, len(classes), dataset.reduce_zero_label, ignore_indices
        )
    )
    return (
        f'{key}: the masks hold the labels {number_ranges(seen)} (for example {example}), but '
        f'{len(classes)} classes allow {number_ranges(classes)}, and '
        f'{number_ranges(ignore_indices)} for ignored pixels; '
        f'{"".join(f"{hint}; " for hint in hints)}correct the masks, or the classes of {key}'
    )


def labels_outside(
    seen: Iterable[int], num_classes: int, ignore_indices: Collection[int]
) -> list[int]:
    """Returns the labels that are neither a class nor ignored, in order."""
    return sorted(set(seen) - set(range(num_classes)) - set(ignore_indices))


def label_hints(
    seen: set[int],
    outside: list[int],
    count: int,
    reduce_zero_label: bool,
    ignore_indices: Collection[int],
) -> list[str]:
    """Names the usual causes of wrong labels that fit what was seen.

    Args:
        seen (set[int]): Labels in the masks, as training sees them.
        outside (list[int]): Those that are neither a class nor ignored, in order.
        count (int): Number of classes of the data set.
        reduce_zero_label (bool): Its setting of that name.
        ignore_indices (Collection[int]): Labels allowed besides the classes.

    Returns:
        list[str]: Conditions with what to do, such as 'if ..., set ...'.
    """
    hints = list(_hints_on_values(seen, outside, count, ignore_indices))
    if seen <= {0, 1, 255} and 255 in seen:
        hints.append('if these are black-and-white masks, write 1 instead of 255 into them')
    elif outside == [255]:
        hints.append(
            'if 255 marks pixels without a label, set ignore_index=255 in model.decode_head and in '
            'the evaluators'
        )
    if outside == [count] == [1]:
        hints.append(
            "if 0 is the background, it is a class too: name it first, classes=('background', ...)"
        )
    elif outside == [count] and not reduce_zero_label:
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


def _hints_on_values(
    seen: set[int], outside: list[int], count: int, ignore_indices: Collection[int]
) -> Iterator[str]:
    """Recognises labels that were made visible, and pictures that are no masks."""
    if len(outside) > MANY_LABELS:
        yield (
            'so many labels have photographs, and masks that were resized smoothly or saved as '
            'JPEG: resize masks without interpolation'
        )
        return
    step = math.gcd(*(seen - set(ignore_indices)))
    if outside and step > 1 and outside[-1] // step < count:
        yield f'if class ids were multiplied by {step}, to be seen, divide them by it'
