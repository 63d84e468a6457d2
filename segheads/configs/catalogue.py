"""What there is to choose from: each config by name, with its cost and what it needs."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from mmengine.config import Config

from segheads.weights.at_hand import find_at_hand
from segheads.weights.bundled import bundled_weights

from .names import config_files, config_folder
from .pretrained import pretrained_files


class ModelEntry(NamedTuple):
    """A model in the list, as text.

    Attributes:
        name (str): Its short name.
        head (str): The method.
        encoder (str): The encoder.
        data_set (str): What it is trained on.
        size (str): Height and width of its images.
        parameters (str): In millions.
        multiply_adds (str): In thousands of millions, for one image of that size.
        weights (str): Whether the weights of its encoder are at hand, or the package brings those
            of the whole model.
    """

    name: str
    head: str
    encoder: str
    data_set: str
    size: str
    parameters: str
    multiply_adds: str
    weights: str


def describe_models(pattern: str = '*') -> list[ModelEntry]:
    """Describes the models whose names fit a pattern.

    Args:
        pattern (str): With ``*`` for any text. Default: all.

    Returns:
        list[ModelEntry]: By name. A config without an entry in a metafile has its name only.
    """
    entries = _metafile_entries()
    return [
        _describe(name, file, entries.get(file.stem))
        for name, file in sorted(config_files().items())
        if fnmatch(name, pattern)
    ]


def _metafile_entries() -> dict[str, dict[str, Any]]:
    found = {}
    folder = config_folder()
    for file in sorted(folder.glob('*/metafile.yml')) if folder else ():
        content = yaml.safe_load(file.read_text(encoding='utf-8'))
        found |= {model['Name']: model for model in content['Models']}
    return found


def _describe(name: str, file: Path, entry: dict[str, Any] | None) -> ModelEntry:
    weights = 'whole model' if bundled_weights(name) else _weights_at_hand(file)
    if entry is None:
        return ModelEntry(name, '', '', '', '', '', '', weights)
    metadata = entry['Metadata']
    encoder, head = metadata['Architecture'][:2]
    return ModelEntry(
        name,
        head,
        encoder,
        metadata['Training Data'],
        'x'.join(map(str, metadata['Input Size'])),
        f'{metadata["Parameters"] / 1e6:.1f}',
        f'{metadata["FLOPs"] / 1e9:.1f}',
        weights,
    )


def _weights_at_hand(file: Path) -> str:
    named = [path for _, path in pretrained_files(Config.fromfile(file).model)]
    if not named:
        return 'none needed'
    found = [find_at_hand(path) for path in named]
    if None in found:
        return 'missing'
    if any('://' in weights.path for weights in found):
        return 'from the network'
    origins = [weights.origin for weights in found if weights.origin]
    return f'at hand, from {origins[0]}' if origins else 'at hand'
