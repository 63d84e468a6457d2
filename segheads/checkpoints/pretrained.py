"""Pretrained weights that do not fit must not pass for pretrained weights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader, Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from segheads.mistakes import UserMistake
from segheads.registered_types import is_type

from .fit import Unfit, bare_model, unfit_weights


@HOOKS.register_module()
class PretrainedFitHook(Hook):
    """Raises an error if pretrained weights that a config names leave weights of their part random.

    MMEngine loads what fits and only logs the rest, so that a network whose names differ trains
    from random weights. This looks at a network before its first iteration: do the weights in it
    come from the file?

    Args:
        named (Sequence[tuple[str, str, str | None]]): Dotted key, file and ``prefix`` of all
            pretrained weights of the model, as :func:`pretrained_parts` finds them.
    """

    # Before anything trains the weights that have just been loaded.
    priority = 'VERY_HIGH'

    def __init__(self, named: Sequence[tuple[str, str, str | None]]) -> None:
        self.named = named

    def before_train(self, runner: Runner) -> None:
        """Compares each part of the model with its file.

        Args:
            runner (Runner): The runner, whose model has its initial weights.

        Raises:
            UserMistake: If a part has nothing of its file, or lacks weights of it.
        """
        check_pretrained_parts(bare_model(runner.model), self.named)


def load_pretrained_parts(model: nn.Module, named: Sequence[tuple[str, str, str | None]]) -> None:
    """Gives parts of a model their pretrained weights; all other weights stay as they are.

    Args:
        model (nn.Module): The model.
        named (Sequence[tuple[str, str, str | None]]): As for :class:`PretrainedFitHook`.

    Raises:
        UserMistake: If weights do not fit their part, or none are named.
    """
    if not named:
        raise UserMistake(
            'the config names no pretrained weights; name some by pretrained=FILE, or leave '
            'pretrained out'
        )
    for key, _, _ in named:
        _part_of(model, key).init_weights()
    check_pretrained_parts(model, named)


def check_pretrained_parts(model: nn.Module, named: Sequence[tuple[str, str, str | None]]) -> None:
    """Checks that parts of a model have the weights of their files.

    Args:
        model (nn.Module): The model.
        named (Sequence[tuple[str, str, str | None]]): As for :class:`PretrainedFitHook`.

    Raises:
        UserMistake: As :func:`check_pretrained_fit`.
    """
    for key, path, prefix in named:
        content = CheckpointLoader.load_checkpoint(path, map_location='cpu', logger='silent')
        weights = content.get('state_dict', content)
        check_pretrained_fit(_part_of(model, key), weights, key, path, prefix)


def pretrained_parts(part: Any, key: str = 'model') -> Iterator[tuple[str, str, str | None]]:
    """Finds the pretrained weights in the config of a model.

    Args:
        part (Any): The ``model`` of a config, or a part of it.
        key (str): The dotted key of ``part``. Default: 'model'.

    Yields:
        tuple[str, str, str | None]: The dotted key of what loads the weights, their path or
        address, and the prefix that is taken off their names.
    """
    if isinstance(part, Mapping):
        for name, child in part.items():
            if name == 'init_cfg':
                for init in child if isinstance(child, (list, tuple)) else [child]:
                    if is_type(init, WEIGHT_INITIALIZERS, PretrainedInit):
                        yield key, init['checkpoint'], init.get('prefix')
            elif name in ('pretrained', 'checkpoint_path') and child and isinstance(child, str):
                # MMSegmentation hands that of a segmentor on to its encoder.
                yield f'{key}.backbone' if key == 'model' else key, child, None
            else:
                yield from pretrained_parts(child, f'{key}.{name}')
    elif isinstance(part, (list, tuple)):
        for index, child in enumerate(part):
            yield from pretrained_parts(child, f'{key}.{index}')


def check_pretrained_fit(
    part: nn.Module, weights: Mapping[str, Any], key: str, path: str, prefix: str | None = None
) -> None:
    """Checks that a part of a model has the weights of a file.

    Args:
        part (nn.Module): The part, after its weights have been initialised.
        weights (Mapping[str, Any]): The weights in the file by name.
        key (str): Dotted key of the part in the config.
        path (str): The file.
        prefix (str | None): What is taken off the names, as ``prefix`` of ``init_cfg`` says.
            Default: None.

    Raises:
        UserMistake: If nothing of the file fits, or only a part of it.
    """
    chosen = _below(weights, prefix) if prefix else dict(weights)
    if _loads_by_itself(part):
        if not _has_values_of(part, weights):
            raise UserMistake(_nothing_fits(part, weights, key, path))
        return
    unfit = unfit_weights(part, chosen)
    if not unfit:
        return
    total = len(part.state_dict())
    fitting = total - len(unfit.missing) - len(unfit.mismatched)
    counted = [name for name in unfit.model_names if not name.endswith('num_batches_tracked')]
    if fitting <= len(unfit.model_names) - len(counted):
        raise UserMistake(_nothing_fits(part, weights, key, path))
    raise UserMistake(
        f'the pretrained weights {path} of {key} fit in part only: they set {fitting} of {total} '
        f'weights, and the file {unfit}; give weights of this encoder, or --allow-partial to leave '
        'the rest random'
    )


def _nothing_fits(part: nn.Module, weights: Mapping[str, Any], key: str, path: str) -> str:
    name = type(part).__name__
    start = f'nothing in the pretrained weights {path} of {key} fits {name}'
    if best := _best_prefix(part, weights):
        prefix, unfit, total = best
        fitting = total - len(unfit.missing) - len(unfit.mismatched)
        return (
            f'{start}, but below the prefix {prefix!r} {fitting} of {total} weights do; set '
            f"prefix='{prefix}' in {key}.init_cfg"
        )
    example = next(iter(weights), 'nothing')
    return (
        f'{start}: its names are such as {example}, those of the encoder such as '
        f'{next(iter(part.state_dict()))}; give weights of this encoder, or train from random '
        f'weights with `--cfg-options {key}.init_cfg=None`'
    )


def _best_prefix(part: nn.Module, weights: Mapping[str, Any]) -> tuple[str, Unfit, int] | None:
    """Finds the beginning of names below which most fits, None if nothing does anywhere."""
    total = len(part.state_dict())
    found = None
    for prefix in sorted(
        {'.'.join(name.split('.')[:depth]) + '.' for name in weights for depth in (1, 2)}
    ):
        unfit = unfit_weights(part, _below(weights, prefix))
        left = len(unfit.missing) + len(unfit.mismatched)
        if left < total / 2 and (found is None or left < found[0]):
            found = (left, prefix, unfit)
    return None if found is None else (found[1], found[2], total)


def _below(weights: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    start = prefix if prefix.endswith('.') else f'{prefix}.'
    return {name[len(start) :]: value for name, value in weights.items() if name.startswith(start)}


def _loads_by_itself(part: nn.Module) -> bool:
    """Tells whether an encoder reads its file itself, and may translate names: Swin, ViT, BEiT.

    What it holds is what counts then.
    """
    code = getattr(getattr(part, 'init_weights', None), '__code__', None)
    return code is not None and 'load_checkpoint' in code.co_names


def _has_values_of(part: nn.Module, weights: Mapping[str, Any]) -> bool:
    """Tells whether any weight of a part is one of a file, whatever their names."""
    sums = {
        (tensor.numel(), float(tensor.double().sum()))
        for tensor in weights.values()
        if isinstance(tensor, Tensor) and tensor.numel() > 1
    }
    return any(
        parameter.numel() > 1
        and (parameter.numel(), float(parameter.detach().cpu().double().sum())) in sums
        and parameter.detach().unique().numel() > 1
        for parameter in part.parameters()
    )


def _part_of(model: nn.Module, key: str) -> nn.Module:
    """Finds the part of a model that a dotted key of its config builds."""
    part = model
    for name in key.split('.')[1:]:
        part = part[int(name)] if name.isdecimal() else getattr(part, name)
    return part
