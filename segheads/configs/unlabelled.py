"""Test sets without masks, such as those of test servers: nothing is scored there."""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmseg.registry import DATASETS

from segheads.data.checks import find_transform, leaf_datasets, open_dataset
from segheads.mistakes import UserMistake

MASK_LOADER = 'LoadAnnotations'


def prepare_unlabelled_test(cfg: Config, writes: bool) -> str | None:
    """Lets a test run on images without masks: none are read, and no metric waits for them.

    Evaluators stay that only write (``format_only=True`` and a folder, ``output_dir``), such as
    MMSegmentation's for the server of Cityscapes. The pipeline of test-time augmentation is changed
    too.

    Args:
        cfg (Config): The config of a test; it is changed in place if there are no masks.
        writes (bool): Whether the test writes or shows its results, so that it has a purpose
            without metrics.

    Returns:
        str | None: Why there are no metrics; None if there are masks to measure by.

    Raises:
        UserMistake: If there are no masks, and nothing but metrics is asked for.
    """
    leaves = list(leaf_datasets(cfg.test_dataloader.dataset, 'test_dataloader.dataset'))
    reason = next(filter(None, (_why_no_masks(dataset, key) for key, dataset in leaves)), None)
    formats, writers = _evaluators_that_format(cfg.test_evaluator)
    if reason is None and not formats:
        return None
    reason = reason or 'test_evaluator has format_only=True'
    if not writes and not writers:
        raise UserMistake(
            f'{reason}, so that nothing can be measured; put the masks there, or write class maps '
            'without metrics by --out FOLDER'
        )
    for _, dataset in leaves:
        dataset['pipeline'] = remove_mask_loaders(dataset.get('pipeline') or [])
        (dataset.get('data_prefix') or {}).pop('seg_map_path', None)
    if cfg.get('tta_pipeline'):
        cfg.tta_pipeline = remove_mask_loaders(cfg.tta_pipeline)
    cfg.test_evaluator = writers
    return reason


def remove_mask_loaders(pipeline: Any) -> Any:
    """Takes the transforms that read masks out of a pipeline, wherever they are in it.

    Args:
        pipeline (Any): The ``pipeline`` of a data set, or a part of it; it is not changed.

    Returns:
        Any: A copy without them. Branches of test-time augmentation that held nothing else are left
        out too: there would be nothing to combine.
    """
    if isinstance(pipeline, Mapping):
        if 'transforms' not in pipeline:
            return pipeline
        return dict(pipeline, transforms=remove_mask_loaders(pipeline['transforms']))
    if not isinstance(pipeline, (list, tuple)):
        return pipeline
    changed = [remove_mask_loaders(step) for step in pipeline if not _loads_masks(step)]
    return [step for step in changed if step or not isinstance(step, list)]


def _loads_masks(step: Any) -> bool:
    bare = isinstance(step, Mapping) and {
        name: value for name, value in step.items() if name != 'transforms'
    }
    return bool(bare) and find_transform(bare, MASK_LOADER) is not None


def _why_no_masks(cfg: Mapping[str, Any], key: str) -> str | None:
    """Says why a data set has no masks; None if it has some, or if they are on no local disk."""
    if find_transform(cfg.get('pipeline') or (), MASK_LOADER) is None:
        return None if _yields_masks(cfg) else f'the pipeline of {key} has no LoadAnnotations'
    prefixes = cfg.get('data_prefix')
    if prefixes is None or (cfg.get('backend_args') or {}).get('backend', 'local') != 'local':
        return None
    if prefixes.get('seg_map_path') is None:
        return f'{key} has no data_prefix.seg_map_path'
    folder = os.path.join(cfg.get('data_root') or '', prefixes['seg_map_path'])
    if '://' in folder:
        return None
    if not os.path.isdir(folder):
        return f'the mask folder {folder} of {key} does not exist'
    dataset = open_dataset(cfg, key)
    if dataset is None:
        return None
    dataset.full_init()
    masks = [dataset.get_data_info(index).get('seg_map_path') for index in range(len(dataset))]
    if any(mask is not None and os.path.exists(mask) for mask in masks):
        return None
    # Files that fit no image stand for a wrong suffix rather than for no masks.
    has_files = prefixes['seg_map_path'] and any(files for _, _, files in os.walk(folder))
    return None if has_files else f'the mask folder {folder} of {key} holds no mask'


def _yields_masks(cfg: Mapping[str, Any]) -> bool:
    """Whether a transform that is not known here reads masks, seen from the first sample."""
    try:
        return 'gt_sem_seg' in DATASETS.build(dict(cfg))[0]['data_samples']
    except Exception:  # the test itself will tell
        return True


def _evaluators_that_format(evaluators: Any) -> tuple[bool, list[Any]]:
    """Tells whether evaluators do nothing but write, and returns those that know where to."""
    listed = evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]
    formats = [each for each in listed if isinstance(each, Mapping) and each.get('format_only')]
    are_all = len(formats) == len(listed) > 0
    return are_all, [each for each in formats if each.get('output_dir')]
