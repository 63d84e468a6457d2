"""Masks of more than 256 classes.

MMSegmentation's ``LoadAnnotations`` casts every mask to 8 bits: of a 16-bit mask, label 256 becomes
0, label 257 becomes 1, and training learns that without a word. The method that does so is replaced
here, for every config that names the transform; what it makes of masks whose labels fit into 8 bits
is the same.
"""

from typing import Any

from mmengine import fileio
from mmseg.datasets.transforms import LoadAnnotations

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


LoadAnnotations._load_seg_map = load_seg_map
