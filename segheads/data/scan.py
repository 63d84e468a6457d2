"""Reads every image and mask of a data set, and tells what training would stumble over."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import fileio
from mmseg.datasets import BaseSegDataset
from PIL import Image

from segheads.mistakes import UserMistake

from .checks import check_class_count, find_transform, open_dataset
from .files import files_below, files_left_out, list_samples
from .image_files import ImagePipeline
from .image_loading import loading_notes, value_fault
from .labels import label_fault, labels_outside, number_ranges, teach_nothing, unlearnable
from .mask_files import (
    LARGEST_LABEL,
    WIDE_IGNORED_LABEL,
    as_labels,
    check_wide_labels,
    decode_mask,
    label_fault_of_file,
)
from .mask_forms import colour_advice

EXIF_ORIENTATION = 0x0112
# Orientations that exchange rows and columns.
SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class Pair:
    """An image and its mask, as read.

    Attributes:
        image (str): Path of the image.
        mask (str): Path of the mask.
        faults (Mapping[str, str]): What is wrong, kind of fault to its details.
        pixels (Mapping[int, int]): Number of pixels of each label in the mask file.
        channels (int | None): Channels of the image as it is loaded; None if it cannot be read.
    """

    image: str
    mask: str
    faults: Mapping[str, str] = field(default_factory=dict)
    pixels: Mapping[int, int] = field(default_factory=dict)
    channels: int | None = None


@dataclass
class DatasetScan:
    """What a data set holds.

    Attributes:
        key (str): Dotted key of the data set in the config.
        classes (tuple[str, ...] | None): Names of its classes, if it has names.
        num_pairs (int): Pairs of image and mask that were read.
        pixels (Counter): Pixels of each label, as training sees them.
        images (Counter): Images in which each label occurs.
        faults (dict[str, list[str]]): For each kind of fault the files that have it.
        mistakes (list[str]): Sentences on what is wrong with the data set as a whole.
        advice (list[str]): What does not stop training, but may not be meant.
    """

    key: str
    classes: tuple[str, ...] | None = None
    num_pairs: int = 0
    pixels: Counter = field(default_factory=Counter)
    images: Counter = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    mistakes: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


class DatasetScanner:
    """Scans one data set of a config.

    Args:
        cfg (Mapping): Config of a data set that is not a wrapper.
        key (str): Its dotted key, for the sentences.
        num_classes (int | None): Number of classes that the head tells apart, None if unknown.
        ignore_indices (Collection[int]): Labels allowed besides the classes.
        samples (int | None): Read this many pairs, evenly spaced; None for all. Default: None.

    Raises:
        UserMistake: If there is nothing to scan: the data set is on no local disk, its folders
            are missing or empty, or it has no masks.
    """

    def __init__(
        self,
        cfg: Mapping[str, Any],
        key: str,
        num_classes: int | None,
        ignore_indices: Collection[int],
        samples: int | None = None,
    ) -> None:
        self.key = key
        self.num_classes = num_classes
        self.ignore_indices = ignore_indices
        dataset = open_dataset(cfg, key)
        if dataset is None:
            raise UserMistake(
                f'{key} is not a BaseSegDataset on a local disk, so its files cannot be scanned'
            )
        load_annotations = find_transform(cfg.get('pipeline', ()), 'LoadAnnotations')
        if load_annotations is None:
            raise UserMistake(f'{key} has no LoadAnnotations in its pipeline: it reads no masks')
        reduce_zero_label = load_annotations.get('reduce_zero_label')
        if reduce_zero_label not in (None, dataset.reduce_zero_label):
            raise UserMistake(
                f'{key}: reduce_zero_label is {dataset.reduce_zero_label} for the data set and '
                f'{reduce_zero_label} in LoadAnnotations; leave it out of LoadAnnotations'
            )
        list_samples(dataset, key)
        count = len(dataset) if samples is None else min(samples, len(dataset))
        self.dataset: BaseSegDataset = dataset
        self.indices = np.linspace(0, len(dataset) - 1, count).astype(int)
        self.steps = cfg['pipeline']
        self.image_pipeline = ImagePipeline(self.steps)
        self.read_pair = partial(
            read_pair,
            pipeline=self.image_pipeline,
            decoder=load_annotations.get('imdecode_backend', 'pillow'),
        )

    def __len__(self) -> int:
        return len(self.indices)

    def read(self) -> Iterator[Pair]:
        """Reads the pairs in parallel.

        Threads suffice, because decoding runs outside of Python's lock.

        Yields:
            Pair: Each pair, in the order of the data set.
        """
        samples = [self.dataset.get_data_info(int(index)) for index in self.indices]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(self.read_pair, samples)

    def summarise(self, pairs: Iterable[Pair]) -> DatasetScan:
        """Counts labels and collects faults.

        Args:
            pairs (Iterable[Pair]): What :meth:`read` yields.

        Returns:
            DatasetScan: The data set in numbers.
        """
        classes = self.dataset.metainfo.get('classes')
        scan = DatasetScan(self.key, classes)
        seen: dict[int, str] = {}
        by_channels: dict[int, list[str]] = defaultdict(list)
        for pair in pairs:
            scan.num_pairs += 1
            if pair.channels is not None:
                by_channels[pair.channels].append(pair.image)
            for kind, detail in pair.faults.items():
                scan.faults[kind].append(detail)
            pixels: Counter[int] = Counter()
            for label, count in pair.pixels.items():
                pixels[self._trained_label(label)] += count
            for label in pixels:
                seen.setdefault(label, pair.mask)
            scan.pixels += pixels
            scan.images.update(pixels.keys())
            outside = labels_outside(pixels, len(classes), self.ignore_indices) if classes else []
            if outside:
                scan.faults['masks with labels outside the classes'].append(
                    f'{pair.mask} has {number_ranges(outside)}'
                )
        if classes and seen:
            fault = label_fault(seen, self.dataset, self.key, self.ignore_indices)
            scan.mistakes += [fault] if fault else []
            if teach_nothing(seen, self.dataset, self.ignore_indices):
                self._note_nothing_to_learn(scan, seen)
        for check, given in (
            (check_class_count, self.num_classes),
            (check_wide_labels, self.ignore_indices),
        ):
            try:
                check(self.dataset, self.key, given)
            except UserMistake as mistake:
                scan.mistakes.append(str(mistake))
        paths = [sample['img_path'] for sample in self.dataset.data_list]
        fault = value_fault(self.image_pipeline, self.steps, paths, self.key)
        scan.mistakes += [fault] if fault else []
        scan.advice += self._advice(scan) + loading_notes(self.image_pipeline, paths)
        if len(by_channels) > 1:
            counts = ', '.join(
                f'{count} in {len(images)} (for example {images[0]})'
                for count, images in sorted(by_channels.items())
            )
            scan.advice.append(
                f'images have different numbers of channels as they are loaded, {counts}, and no '
                'batch can hold both'
            )
        return scan

    def _trained_label(self, label: int) -> int:
        """Does to a label what LoadAnnotations does to a mask."""
        if self.dataset.reduce_zero_label:
            label = 255 if label in (0, 255, WIDE_IGNORED_LABEL) else label - 1
        return (self.dataset.label_map or {}).get(label, label)

    def _note_nothing_to_learn(self, scan: DatasetScan, seen: Mapping[int, str]) -> None:
        sentence = unlearnable(seen, self.dataset, self.key, self.ignore_indices, scan.num_pairs)
        # Other data sets of the split, and the masks that were not read, may have something.
        decides = scan.num_pairs == len(self.dataset) and '.datasets.' not in self.key
        is_refused = decides and self.key.startswith('train_dataloader')
        (scan.mistakes if is_refused else scan.advice).append(sentence)

    def _advice(self, scan: DatasetScan) -> list[str]:
        advice = files_left_out(self.dataset)
        if self.dataset.seg_map_suffix.lower().endswith(('.jpg', '.jpeg')):
            advice.append('masks are JPEGs, which changes labels where it compresses: write PNGs')
        classes = scan.classes or ()
        absent = [name for label, name in enumerate(classes) if not scan.pixels[label]]
        if absent and scan.pixels:
            names = ', '.join(absent[:10]) + (', ...' if len(absent) > 10 else '')
            advice.append(f'no pixel of {len(absent)} of {len(classes)} classes: {names}')
        # All labels would be classes without the setting, and the last class does not occur.
        if self.dataset.reduce_zero_label and classes and classes[-1] in absent:
            advice.append(
                'reduce_zero_label=True ignores 0 and subtracts 1 from the other labels, and '
                'leaves the last class without a pixel: set it to False if 0 is a class'
            )
        if self.dataset.data_prefix.get('seg_map_path'):
            expected = {os.path.normpath(s['seg_map_path']) for s in self.dataset.data_list}
            suffix = self.dataset.seg_map_suffix
            unused = sorted(
                path
                for path in files_below(self.dataset.data_prefix['seg_map_path']) - expected
                if path.endswith(suffix)
            )
            # With a list of images the others are left out on purpose.
            if unused and not self.dataset.ann_file:
                advice.append(f'{len(unused)} masks have no image, for example {unused[0]}')
        return advice


def read_pair(sample: Mapping[str, Any], pipeline: ImagePipeline, decoder: str) -> Pair:
    """Reads an image and its mask completely, as training does.

    Args:
        sample (Mapping): Entry of a data set's list, with ``img_path`` and ``seg_map_path``.
        pipeline (ImagePipeline): What the image is read by.
        decoder (str): What LoadAnnotations decodes masks with.

    Returns:
        Pair: Faults and pixels; never an error for a file that is missing or damaged.
    """
    image, mask = sample['img_path'], sample['seg_map_path']
    faults: dict[str, str] = {}
    shape = None
    try:
        shape = pipeline.read(image)['img'].shape
    except UserMistake as mistake:
        faults['images that cannot be read'] = str(mistake)
    channels = shape and (shape[2] if len(shape) > 2 else 1)
    if '://' not in mask and not Path(mask).is_file():
        faults['images without a mask'] = f'{image}: {mask} does not exist'
        return Pair(image, mask, faults)
    try:
        labels = decode_mask(fileio.get(mask), decoder)
    except Exception as error:
        faults['masks that cannot be read'] = f'{mask}: {_first_line(error)}'
        return Pair(image, mask, faults)
    if shape is not None and shape[:2] != labels.shape[:2]:
        rotated = ', after the rotation that its EXIF data ask for' if _is_sideways(image) else ''
        faults['masks of another size than their image'] = (
            f'{mask} has {_size(labels.shape)} pixels, {image} {_size(shape)}{rotated}'
        )
    if labels.ndim != 2:
        faults['masks with colours instead of class ids'] = (
            f'{mask} has {labels.shape[2]} channels; masks need one, which holds the class ids: '
            f'{colour_advice(labels)}'
        )
        return Pair(image, mask, faults)
    if fault := label_fault_of_file(labels):
        faults['masks that hold no labels'] = (
            f'{mask} {fault}; labels are whole numbers from 0 to {LARGEST_LABEL}'
        )
        return Pair(image, mask, faults)
    values, counts = np.unique(as_labels(labels), return_counts=True)
    pixels = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
    return Pair(image, mask, faults, pixels, channels)


def _is_sideways(path: str) -> bool:
    try:
        with Image.open(BytesIO(fileio.get(path))) as image:
            return image.getexif().get(EXIF_ORIENTATION) in SIDEWAYS
    except Exception:  # of a format that Pillow does not read
        return False


def _size(shape: tuple[int, ...]) -> str:
    return f'{shape[0]}x{shape[1]}'


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
