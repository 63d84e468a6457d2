"""Which network is trained, and what its weights start from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from segheads.checkpoints.fit import check_checkpoint_file, read_weights
from segheads.configs.names import config_folder
from segheads.configs.prediction_part import config_in_checkpoint
from segheads.configs.pretrained import forget_pretrained, pretrained_files
from segheads.mistakes import UserMistake, near_matches
from segheads.weights.at_hand import find_at_hand
from segheads.weights.sources import name_of

# In order: the first whose encoder has weights at hand, else the last with random ones.
ON_CPU = ('ccaseg_lite0', 'ccaseg_b0')
ON_GPU = ('ccaseg_b0', 'ccaseg_lite0', 'ccaseg_b0')


class Network(NamedTuple):
    """A network to train.

    Attributes:
        name (str): Its name, or the checkpoint that brought it.
        model (dict[str, Any]): The ``model`` of its config.
        is_pretrained (bool): Whether its encoder does not start from random weights.
        reason (str): Why this one, and where its weights are from.
    """

    name: str
    model: dict[str, Any]
    is_pretrained: bool
    reason: str


def model_files() -> dict[str, Path]:
    """Finds the networks by name: the files of ``local_configs/_base_/models``."""
    folder = config_folder()
    files = sorted((folder / '_base_' / 'models').glob('*.py')) if folder else []
    return {file.stem: file for file in files}


def find_network(name: str | None, on_cpu: bool, fine_tune: str | None = None) -> Network:
    """Finds the network of a training.

    Args:
        name (str | None): A name of :func:`model_files`. None for the one in ``fine_tune``, else
            for the one that suits the device and has weights at hand.
        on_cpu (bool): Whether there is no GPU.
        fine_tune (str | None): A checkpoint that the training starts from. Default: None.

    Returns:
        Network: The network.

    Raises:
        UserMistake: If there is no network of that name, or the checkpoint holds no config.
    """
    if name is None and fine_tune is not None:
        return _in_checkpoint(fine_tune)
    if name is not None:
        _require_known(name)
    candidates = (name,) if name else ON_CPU if on_cpu else ON_GPU
    missing: list[str] = []
    for candidate in candidates:
        model = Config.fromfile(model_files()[candidate]).model.to_dict()
        if fine_tune is not None:
            return Network(candidate, _without_weights(model), True, f'weights of {fine_tune}')
        files = [path for _, path in pretrained_files(model)]
        weights = [find_at_hand(path) for path in files]
        if files and all(each and '://' not in each.path for each in weights):
            origin = next((each.origin for each in weights if each.origin), files[0])
            return Network(candidate, model, True, f'encoder weights at hand, from {origin}')
        missing += [name_of(path) or path for path in files]
    if name is None and on_cpu:
        # As the project's configs for CPUs have it.
        model['decode_head']['num_blocks'] = 1
    fetch = ' or '.join(f'`segheads download {each}`' for each in dict.fromkeys(missing))
    reason = f'random weights; much better with those that {fetch} fetches' if fetch else ''
    return Network(candidate, _without_weights(model), False, reason or 'random weights')


def heads_of(model: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the configs of all heads of a model, auxiliary ones too."""
    for key in ('decode_head', 'auxiliary_head'):
        heads = model.get(key) or []
        yield from heads if isinstance(heads, (list, tuple)) else [heads]


def _require_known(name: str) -> None:
    known = model_files()
    if name not in known:
        # Names of whole configs begin with that of the network.
        start = next((each for each in sorted(known) if name.startswith(f'{each}_')), None)
        near = f'; did you mean {start}?' if start else near_matches(name, known)
        listed = '' if near else f'; it takes {", ".join(known)}'
        raise UserMistake(f'--model {name} is no network of segheads{near}{listed}')


def _in_checkpoint(path: str) -> Network:
    check_checkpoint_file(path)
    meta = read_weights(path).get('meta') or {}
    try:
        model = config_in_checkpoint(meta, path).model.to_dict()
    except UserMistake as mistake:
        raise UserMistake(f'{mistake} by --model') from mistake
    return Network(
        Path(path).name, _without_weights(model), True, f'the network and the weights of {path}'
    )


def _without_weights(model: dict[str, Any]) -> dict[str, Any]:
    forget_pretrained(model)
    return model
