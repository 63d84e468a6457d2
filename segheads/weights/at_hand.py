"""Encoder weights that are on this machine already, in whichever form."""

from pathlib import Path
from typing import NamedTuple

from .hub import cached_from_hub, hub_address
from .package import installed_file
from .sources import DEFAULT_FOLDER, WEIGHTS, name_of


class WeightsAtHand(NamedTuple):
    """Weights on this machine.

    Attributes:
        path (str): The file, or an address that needs no search, such as ``https://...``.
        origin (str): Where they came from, if that is not what the config names; else empty.
    """

    path: str
    origin: str = ''


def find_at_hand(path: str) -> WeightsAtHand | None:
    """Finds the weights that a config names, or the same encoder's from elsewhere.

    Args:
        path (str): Path or address in a config.

    Returns:
        WeightsAtHand | None: The weights; None if they are not on this machine. An address is
        left as it is, unless its file has been downloaded.
    """
    if '://' not in path and Path(path).expanduser().exists():
        return WeightsAtHand(path)
    name = name_of(path)
    if name is not None:
        weights = WEIGHTS[name]
        for folder in (Path('ckpt'), DEFAULT_FOLDER):
            if (folder / weights.file).is_file():
                return WeightsAtHand(str(folder / weights.file), f'the folder {folder}')
        if weights.package and (file := installed_file(weights)):
            return WeightsAtHand(str(file), f'the package {weights.package}')
        if weights.hub and (file := _from_hub(weights.hub)):
            return WeightsAtHand(str(file), f'{weights.hub} of the Hugging Face hub')
    return WeightsAtHand(path) if '://' in path else None


def _from_hub(repository: str) -> Path | None:
    """Looks where ``segheads download`` puts it with a folder, and in the client's cache."""
    address = hub_address(repository)
    for folder in (Path('ckpt'), DEFAULT_FOLDER):
        below = folder / repository.replace('/', '--')
        for file in ('model.safetensors', 'pytorch_model.bin'):
            if (below / file).is_file():
                return below / file
    return cached_from_hub(address)
