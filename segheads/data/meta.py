"""What the classes of a model are called, and in which colours they are drawn."""

import colorsys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from .checks import leaf_datasets
from .class_names import colours_fault, names_and_colours, names_fault

# A turn of the colour wheel by this part of it lands far from all hues before.
GOLDEN_RATIO = 0.618034
# What a model with one output calls what it does not find, if only the object has a name.
BACKGROUND, BACKGROUND_COLOUR = 'background', (0, 0, 0)

Names = Sequence[str] | None
Colours = Sequence[Sequence[int]] | None


def dataset_meta(
    checkpoint_meta: Mapping[str, Any], cfg: Config, num_outputs: int
) -> dict[str, list]:
    """Finds the names and the colours of a model's classes.

    Args:
        checkpoint_meta (Mapping): The ``meta`` of its checkpoint, as MMSegmentation 0.x or 1.x
            writes it; empty without a checkpoint. What is no list of names or of colours in it is
            ignored, with a warning.
        cfg (Config): Its config, which counts where the checkpoint does not say it.
        num_outputs (int): Outputs of the model per pixel: as many as classes, or one, which tells
            an object from the background.

    Returns:
        dict: 'classes', the name of each value in a class map, and 'palette', as many colours
        [red, green, blue]. Classes without a name are called ``class 7``.

    Raises:
        UserMistake: As :func:`segheads.data.class_names.names_and_colours`, for the config.
    """
    for names, colours in (_noted(checkpoint_meta), _configured(cfg)):
        # A list that is longer belongs to something else than this model.
        if names is not None and len(names) <= count_values(num_outputs):
            return complete_meta(names, colours, num_outputs)
    return complete_meta([], None, num_outputs)


def count_values(num_outputs: int) -> int:
    """Returns how many values the class maps of a model have, which are two for one output."""
    return 2 if num_outputs == 1 else num_outputs


def complete_meta(names: Sequence[str], colours: Colours, num_outputs: int) -> dict[str, list]:
    """Gives every value in the class maps of a model a name and a colour.

    Args:
        names (Sequence[str]): Names of the first classes. The only name of a model with one output
            is that of the object, the value 1.
        colours (Sequence | None): Their colours.
        num_outputs (int): Outputs of the model per pixel.

    Returns:
        dict: 'classes' and 'palette', as :func:`dataset_meta` returns them.
    """
    if num_outputs == 1 and len(names) == 1:
        names, colours = [BACKGROUND, *names], [BACKGROUND_COLOUR, *colours] if colours else None
    count = count_values(num_outputs)
    classes = [*names, *(f'class {index}' for index in range(len(names), count))]
    palette = [[int(channel) for channel in colour] for colour in colours or ()][:count]
    return dict(classes=classes, palette=palette + distinct_colours(count)[len(palette) :])


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


def _noted(checkpoint_meta: Any) -> tuple[Names, Colours]:
    """Takes names and colours out of the notes of a checkpoint, which may hold anything."""
    meta = checkpoint_meta if isinstance(checkpoint_meta, Mapping) else {}
    saved = meta.get('dataset_meta')
    if not isinstance(saved, Mapping):
        saved = dict(classes=meta.get('CLASSES'), palette=meta.get('PALETTE'))
    names, colours = saved.get('classes'), saved.get('palette')
    if names is None:
        return None, None
    fault = names_fault(names)
    if fault:
        warnings.warn(
            f'the list of class names in the checkpoint {fault}; the names of the config are taken',
            stacklevel=2,
        )
        return None, None
    if colours is None or len(colours) == 0:
        return names, None
    fault = colours_fault(colours)
    if fault is None and len(colours) != len(names):
        fault = f'has {len(colours)} colours, but there are {len(names)} classes'
    if fault:
        warnings.warn(
            f'the list of colours in the checkpoint {fault}; others are taken', stacklevel=2
        )
        return names, None
    return names, colours


def _configured(cfg: Config) -> tuple[Names, Colours]:
    for split in ('test', 'val', 'train'):
        loader = cfg.get(f'{split}_dataloader')
        if loader is not None:
            key, dataset = next(leaf_datasets(loader.dataset, f'{split}_dataloader.dataset'))
            return names_and_colours(dataset, key)
    return None, None
