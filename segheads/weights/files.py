"""The files that transformers and timm write weights into, in one or in several parts."""

import json
from pathlib import Path

INDEX_ENDING = '.index.json'
# Best first; an index lists the files of several parts.
FILES = (
    'model.safetensors',
    f'model.safetensors{INDEX_ENDING}',
    'pytorch_model.bin',
    f'pytorch_model.bin{INDEX_ENDING}',
)


def weights_in_folder(folder: Path) -> Path | None:
    """Finds the weights in a folder that transformers or timm has written.

    Args:
        folder (Path): The folder.

    Returns:
        Path | None: The file of the weights, or the index of their parts; None if there is none.
    """
    return next((folder / name for name in FILES if (folder / name).is_file()), None)


def parts_of_index(index: Path) -> list[str]:
    """Lists the files that hold the parts of weights.

    Args:
        index (Path): A file such as ``model.safetensors.index.json``.

    Returns:
        list[str]: Names of files beside it.

    Raises:
        ValueError: If it is no such index, or names files elsewhere.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding='utf-8'))['weight_map'].values()))
        elsewhere = [name for name in names if Path(name).name != name or name in ('', '..')]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f'{index} does not list the parts of weights by name, under "weight_map"'
        ) from error
    if elsewhere or not names:
        named = f'names {elsewhere[0]!r}, which is no file beside it' if elsewhere else 'is empty'
        raise ValueError(f'{index} {named}')
    return names
