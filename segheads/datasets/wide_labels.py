"""Masks of more than 256 classes.

MMSegmentation's ``LoadAnnotations`` casts every mask to 8 bits: of a 16-bit mask, label 256 becomes
0, label 257 becomes 1, and training learns that without a word. Its ``IoUMetric`` casts the class
maps that it writes in the same way. The methods that do so are replaced here, for every config that
names these classes; where 8 bits suffice, results are the same.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.evaluation import IoUMetric
from PIL import Image

from segheads.data.mask_files import (
    LARGEST_LABEL,
    WIDE_IGNORED_LABEL,
    as_labels,
    decode_mask,
    label_fault_of_file,
)
from segheads.mistakes import UserMistake


def load_seg_map(transform: LoadAnnotations, results: dict[str, Any]) -> None:
    """Read the mask of an image.

    Args:
        transform (LoadAnnotations): The transform.
        results (dict): What is known of the image. ``gt_seg_map`` is added to it: (H, W) in uint8,
            or in uint16 if there are labels above 255.

    Raises:
        UserMistake: If the mask holds anything but whole numbers from 0 to 65535, or if
            ``reduce_zero_label`` differs from the data set's.
    """
    path = results['seg_map_path']
    content = fileio.get(path, backend_args=transform.backend_args)
    mask = decode_mask(content, transform.imdecode_backend)
    fault = label_fault_of_file(mask)
    if fault:
        raise UserMistake(
            f'the mask {path} {fault}, but labels are whole numbers from 0 to {LARGEST_LABEL}; '
            'write the ignored label, usually 255, where there is none'
        )
    labels = as_labels(mask)
    if transform.reduce_zero_label is None:
        transform.reduce_zero_label = results['reduce_zero_label']
    if transform.reduce_zero_label != results['reduce_zero_label']:
        raise UserMistake(
            f'reduce_zero_label is {results["reduce_zero_label"]} for the data set and '
            f'{transform.reduce_zero_label} in LoadAnnotations; leave it out of LoadAnnotations'
        )
    if transform.reduce_zero_label:
        ignored = 255 if labels.itemsize == 1 else WIDE_IGNORED_LABEL
        is_ignored = (labels == 0) | (labels == ignored)
        labels -= 1  # 0 wraps around to what is ignored
        labels[is_ignored] = ignored
    label_map = results.get('label_map')
    if label_map is not None:
        original = labels.copy()
        for old, new in label_map.items():
            labels[original == old] = new
    results['gt_seg_map'] = labels
    results['seg_fields'].append('gt_seg_map')


def process(metric: IoUMetric, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
    """Count the pixels of a batch, and write its class maps if the metric has an ``output_dir``.

    Args:
        metric (IoUMetric): The metric.
        data_batch (Any): Not used.
        data_samples (Sequence[dict]): What was predicted, with the truth.
    """
    folder = metric.output_dir
    # One more than there are classes: reduce_zero_label is taken back in these files.
    if folder is None or len(metric.dataset_meta['classes']) <= 255:
        mmseg_process(metric, data_batch, data_samples)
        return
    metric.output_dir = None
    try:
        mmseg_process(metric, data_batch, data_samples)
    finally:
        metric.output_dir = folder
    for sample in data_samples:
        class_map = sample['pred_sem_seg']['data'][0].cpu().numpy()
        class_map = class_map + 1 if sample.get('reduce_zero_label') else class_map
        path = Path(folder, f'{Path(sample["img_path"]).stem}.png')
        Image.fromarray(class_map.astype(np.uint16)).save(path)


mmseg_process = IoUMetric.process
IoUMetric.process = process
LoadAnnotations._load_seg_map = load_seg_map
