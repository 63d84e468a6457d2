"""What the classes of a model are called, and in which colours they are drawn."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmseg.registry import DATASETS

from .checks import leaf_datasets

# A turn of the colour wheel by this part of it lands far from all hues before.
GOLDEN_RATIO = 0.618034


def dataset_meta(
    checkpoint_meta: Mapping[str, Any], cfg: Config, num_classes: int
) -> dict[str, list]:
    """Finds the names and the colours of a model's classes.

    Args:
        checkpoint_meta (Mapping): The ``meta`` of its checkpoint, as MMSegmentation 0.x or 1.x
            writes it; empty without a checkpoint.
        cfg (Config): Its config, which counts where the checkpoint does not say it.
        num_classes (int): Number of classes of the model.

    Returns:
        dict: 'classes', as many names, and 'palette', as many colours [red, green, blue]. Classes
        without a name are called ``class 7``.
    """
    saved = checkpoint_meta.get('dataset_meta') or {
        'classes': checkpoint_meta.get('CLASSES'),
        'palette': checkpoint_meta.get('PALETTE'),
    }
    for meta in (saved, _meta_of_config(cfg)):
        classes, palette = meta.get('classes'), meta.get('palette')
        # A list that is longer belongs to something else than this model.
        if classes is not None and len(classes) <= num_classes:
            return _fill(classes, palette, num_classes)
    return _fill([], [], num_classes)


def distinct_colours(count: int) -> list[list[int]]:
    """Returns colours that are told apart well, always the same.

    Args:
        count (int): How many.

    Returns:
        list[list[int]]: [red, green, blue], each from 0 to 255.
    """
    # Neighbours on the wheel differ in lightness too.
    colours = [
        colorsys.hls_to_rgb(index * GOLDEN_RATIO % 1, (0.45, 0.6, 0.75)[index % 3], 0.65)
        for index in range(count)
    ]
    return [[round(255 * channel) for channel in colour] for colour in colours]


def _meta_of_config(cfg: Config) -> Mapping[str, Any]:
    loaders = (cfg.get(f'{split}_dataloader') for split in ('test', 'val', 'train'))
    loader = next(filter(None, loaders), None)
    if loader is None:
        return {}
    _, dataset = next(leaf_datasets(loader.dataset, 'dataset'))
    of_class = DATASETS.get(dataset['type']).METAINFO
    own = dataset.get('metainfo') or {}
    classes = own.get('classes', of_class.get('classes'))
    if 'palette' in own or 'classes' not in own:
        return dict(classes=classes, palette=own.get('palette', of_class.get('palette')))
    # Some of the classes, perhaps in another order: each keeps its colour.
    colours = dict(zip(of_class.get('classes', ()), of_class.get('palette', ()), strict=False))
    is_known = all(name in colours for name in classes)
    return dict(classes=classes, palette=[colours[name] for name in classes] if is_known else None)


def _fill(
    classes: Sequence[str], palette: Sequence[Sequence[int]] | None, num_classes: int
) -> dict[str, list]:
    names = [*classes, *(f'class {index}' for index in range(len(classes), num_classes))]
    colours = [[int(channel) for channel in colour] for colour in palette or []][:num_classes]
    return dict(classes=names, palette=colours + distinct_colours(num_classes)[len(colours) :])
