"""The data sets that a config names."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from segheads.data.checks import leaf_datasets
from segheads.mistakes import UserMistake


def datasets_to_read(
    cfg: Config, splits: Sequence[str]
) -> list[tuple[list[str], str, Mapping[str, Any]]]:
    """Lists the data sets of a config, each once.

    Args:
        cfg (Config): The config.
        splits (Sequence[str]): Of 'train', 'val' and 'test' those to list.

    Returns:
        list[tuple]: For each data set the splits that read it, its dotted key and its config.

    Raises:
        UserMistake: If there is none.
    """
    found: list[tuple[list[str], str, Mapping[str, Any]]] = []
    for split in splits:
        loader = cfg.get(f'{split}_dataloader')
        if not loader:
            continue
        for key, dataset in leaf_datasets(loader.dataset, f'{split}_dataloader.dataset'):
            same = next((splits for splits, _, other in found if other == dataset), None)
            if same:
                same.append(split)
            else:
                found.append(([split], key, dataset))
    if not found:
        raise UserMistake(f'{cfg.filename} has no data set for {", ".join(splits)}')
    return found
