"""Safetensors files: weights and nothing else, the format in which timm publishes."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

# A header holds texts only, so what MMSegmentation keeps of the data set is written as JSON.
DATASET = 'dataset_meta'


def load_safetensors(path: str | Path, map_location: Any = None) -> dict[str, Any]:
    """Reads a safetensors file as MMEngine's checkpoints are.

    Args:
        path (str | Path): The file.
        map_location (str | torch.device, optional): Device. Whatever else ``torch.load`` takes, and
            the default, None, mean the CPU.

    Returns:
        dict: The weights under 'state_dict', and the names and colours of the classes, where
        :func:`save_safetensors` has kept them, under 'meta'.
    """
    from safetensors import safe_open

    device = map_location if isinstance(map_location, (str, torch.device)) else 'cpu'
    with safe_open(str(path), framework='pt', device=str(device)) as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no dict
        notes = file.metadata() or {}
    meta = {}
    if DATASET in notes:
        try:
            meta[DATASET] = json.loads(notes[DATASET])
        except (ValueError, RecursionError):
            meta[DATASET] = notes[DATASET]  # no names of classes: whoever checks notes says so
    return dict(state_dict=weights, meta=meta)


def save_safetensors(
    path: str | Path, weights: dict[str, Tensor], dataset_meta: dict[str, Any] | None = None
) -> None:
    """Writes a safetensors file.

    Args:
        path (str | Path): The file.
        weights (dict[str, Tensor]): Weights by name.
        dataset_meta (dict | None): Names and colours of the classes. Default: None.
    """
    from safetensors.torch import save

    notes = {DATASET: json.dumps(dataset_meta)} if dataset_meta else {}
    # The format knows no views: tensors that share memory are written apart.
    separate = {name: tensor.detach().clone().contiguous() for name, tensor in weights.items()}
    # Written by Python, it has the permissions of any new file; `save_file` lets nobody else read.
    Path(path).write_bytes(save(separate, metadata={'format': 'pt', **notes}))
