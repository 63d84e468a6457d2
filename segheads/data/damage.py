"""Images and masks that cannot be read: told by a sentence, or left out.

MMSegmentation lets its decoders raise what they raise, often without the name of the file. All its
data sets read their samples by one method of BaseSegDataset, which is replaced here, so that the
sentence comes whatever trains or tests; ``filter_cfg=dict(skip_damaged=True)`` in the config of a
data set leaves out what is damaged.
"""

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from typing import Any

import mmcv.transforms
from mmengine.config import Config
from mmengine.dist import all_gather_object, get_rank, get_world_size, is_main_process
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from segheads.mistakes import UserMistake, tell
from segheads.registered_types import is_type, type_name, type_of

from .checks import leaf_datasets
from .mask_forms import why_unreadable

FILES_TO_SHOW = 5


def damage_of(sample: Mapping[str, Any], pipeline: Any) -> str | None:
    """Reads the files of a sample as its data set does, and nothing more.

    Args:
        sample (Mapping): An entry of the data set's list.
        pipeline (Any): The built pipeline of the data set.

    Returns:
        str | None: Which of its files cannot be read and why; None if all can, or if the pipeline
        reads them by transforms of another kind.
    """
    # Transforms change what they get, lists in it too.
    results = deepcopy(dict(sample))
    for kind, load in find_loaders(pipeline).items():
        path = sample.get('img_path' if kind == 'image' else 'seg_map_path')
        try:
            results = load(results)
        except Exception as error:  # decoders raise anything for damaged files
            return f'the {kind} {path} cannot be read ({why_unreadable(error)})'
        if results is None:
            return f'the {kind} {path} is left out by {type(load).__name__}'
    image, mask = results.get('img'), results.get('gt_seg_map')
    if mask is None:
        return None
    if mask.ndim != 2:
        return f'the mask {path} is a colour image of shape {mask.shape}'
    if image is not None and image.shape[:2] != mask.shape:
        return (
            f'the mask {path} has {_size(mask)} pixels, and its image {sample["img_path"]} has '
            f'{_size(image)}'
        )
    return None


def find_loaders(pipeline: Any) -> dict[str, Callable[[dict], dict]]:
    """Finds the transforms of a pipeline that read files, inside of others too.

    Args:
        pipeline (Any): A built pipeline, or a transform.

    Returns:
        dict[str, Callable]: The first one that reads the 'image' and the first one for the 'mask'.
    """
    loaders: dict[str, Callable[[dict], dict]] = {}
    name = type(pipeline).__name__
    if isinstance(pipeline, mmcv.transforms.LoadAnnotations) or 'LoadAnnotation' in name:
        loaders['mask'] = pipeline
    elif isinstance(pipeline, mmcv.transforms.LoadImageFromFile) or name.startswith('Load'):
        loaders['image'] = pipeline
    steps = getattr(pipeline, 'transforms', None) or getattr(pipeline, 'subroutines', ())
    for step in [steps] if callable(steps) else steps:
        loaders = {**find_loaders(step), **loaders}
    return {kind: loaders[kind] for kind in ('image', 'mask') if kind in loaders}


def read_sample(dataset: BaseSegDataset, index: int) -> Any:
    """Reads a sample of a data set and applies its transforms.

    Args:
        dataset (BaseSegDataset): The data set.
        index (int): Index in its list.

    Returns:
        Any: What its pipeline yields.

    Raises:
        UserMistake: If the image or the mask cannot be read.
    """
    sample = dataset.get_data_info(index)
    try:
        return dataset.pipeline(sample)
    except Exception as error:
        damage = damage_of(dataset.get_data_info(index), dataset.pipeline)
        if damage is None:
            raise
        raise UserMistake(
            f'{damage}; repair or remove it, find others by `segheads check CONFIG`, or leave out '
            'what is damaged by --skip-damaged'
        ) from error


def sound_samples(dataset: BaseSegDataset) -> list[dict[str, Any]]:
    """Reads all samples of a data set if its config says so, and keeps those that can be read.

    Several processes share the reading. What is left out is counted and named in the log.

    Args:
        dataset (BaseSegDataset): A data set whose ``data_list`` has been loaded.

    Returns:
        list[dict]: The samples to keep; all if ``filter_cfg`` does not have ``skip_damaged``.

    Raises:
        UserMistake: If none can be read.
    """
    samples = dataset.data_list
    if not (dataset.filter_cfg or {}).get('skip_damaged'):
        return samples
    wanted = dataset._indices
    if isinstance(wanted, int) and wanted >= 0:  # the first ones are enough
        sound = (each for each in samples if damage_of(each, dataset.pipeline) is None)
        return list(itertools.islice(sound, wanted))
    own = range(get_rank(), len(samples), get_world_size())
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda index: damage_of(samples[index], dataset.pipeline), own)
        shares = all_gather_object(dict(zip(own, found, strict=True)))
    damages = {
        index: damage for share in shares for index, damage in share.items() if damage is not None
    }
    if not damages:
        return samples
    sentences = [damages[index] for index in sorted(damages)]
    if len(damages) == len(samples):
        raise UserMistake(f'all {len(samples)} samples are damaged, for example {sentences[0]}')
    if is_main_process():
        more = len(sentences) - FILES_TO_SHOW
        tell(
            f'{len(sentences)} of {len(samples)} samples are damaged and left out: '
            f'{"; ".join(sentences[:FILES_TO_SHOW])}{f"; and {more} more" if more > 0 else ""}.'
        )
    return [sample for index, sample in enumerate(samples) if index not in damages]


def skip_damaged_samples(cfg: Config) -> None:
    """Lets every data set of a run go on without the files that cannot be read.

    They are looked for once, before the first iteration.

    Args:
        cfg (Config): The config of a run; it is changed in place.

    Raises:
        UserMistake: If a data set is of another kind than MMSegmentation's.
    """
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        for key, dataset in leaf_datasets(loader.dataset, f'{split}_dataloader.dataset'):
            if type_of(dataset, DATASETS) is None:  # which is told elsewhere
                continue
            if not is_type(dataset, DATASETS, BaseSegDataset):
                raise UserMistake(
                    f'--skip-damaged: {key} is {type_name(dataset)}, which cannot leave samples '
                    'out; use BaseSegDataset or one of those derived from it'
                )
            dataset['filter_cfg'] = dict(dataset.get('filter_cfg') or {}, skip_damaged=True)


def _size(pixels: Any) -> str:
    return f'{pixels.shape[0]}x{pixels.shape[1]}'


BaseSegDataset.prepare_data = read_sample
BaseSegDataset.filter_data = sound_samples
