"""Heads that take the widths of their inputs from the encoder."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from segheads.mistakes import UserMistake
from segheads.registered_types import type_name, type_of

# Small, and square, so that channels in the last dimension are noticed.
IMAGE_SIZE = 64


class InferredWidths:
    """Mixin of a segmentor: heads may leave out ``in_channels``.

    The encoder, that is the backbone and the neck if there is one, encodes a tiny black image, and
    each decode and auxiliary head gets the widths of the maps that its ``in_index`` chooses. Where
    a config gives ``in_channels``, and it is not what the encoder yields, the model is not built.
    The same holds for the ``feature_strides`` of a head that has this argument.

    Without ``in_index`` the heads of this package that take several levels take all of them, and
    any other head the last one, as everywhere in MMSegmentation.

    An encoder that cannot encode so small an image needs ``in_channels`` to be given; nothing is
    compared then.
    """

    def _init_decode_head(self, decode_head: dict | list[dict]) -> None:
        super()._init_decode_head(self._complete(decode_head))

    def _init_auxiliary_head(self, auxiliary_head: dict | list[dict] | None) -> None:
        super()._init_auxiliary_head(auxiliary_head and self._complete(auxiliary_head))

    def _complete(self, heads: dict | list[dict]) -> dict | list[dict]:
        """Fill in and compare the arguments of one head, or of several.

        Args:
            heads (dict | list[dict]): Configs; they are not changed.

        Returns:
            dict | list[dict]: The completed configs.

        Raises:
            UserMistake: If a config does not fit the encoder, or leaves out what cannot be found.
        """
        encoder = type(self.neck if self.with_neck else self.backbone).__name__
        try:
            maps, failure = _encode_black_image(self), None
        except Exception as error:  # foreign code, which a model may run all the same
            maps, failure = None, error
        if not isinstance(heads, (list, tuple)):
            return _complete_head(heads, encoder, maps, failure)
        return [_complete_head(head, encoder, maps, failure) for head in heads]


@torch.no_grad()
def _encode_black_image(segmentor: nn.Module) -> list[Tensor] | None:
    """Run the encoder and leave no trace of it: modes, statistics and random numbers stay."""
    modes = {module: module.training for module in segmentor.modules()}
    in_channels = next(
        (m.in_channels for m in segmentor.backbone.modules() if isinstance(m, nn.Conv2d)), 3
    )
    # Not by `train(mode)`, which some backbones override to freeze layers.
    for module in modes:
        module.training = False
    try:
        with torch.random.fork_rng(devices=[]):
            maps = segmentor.extract_feat(torch.zeros(1, in_channels, IMAGE_SIZE, IMAGE_SIZE))
    finally:
        for module, mode in modes.items():
            module.training = mode
    are_maps = isinstance(maps, (list, tuple)) and all(
        isinstance(x, Tensor) and x.dim() == 4 for x in maps
    )
    return list(maps) if are_maps else None


def _complete_head(
    head: dict, encoder: str, maps: list[Tensor] | None, failure: Exception | None
) -> dict:
    name = type_name(head)
    if maps is None:
        if 'in_channels' in head:
            return head
        reason = failure or 'it does not yield a list of maps (B, C, H, W)'
        raise UserMistake(
            f'{name}: in_channels cannot be taken from the encoder {encoder}, which fails on an '
            f'image of {IMAGE_SIZE}x{IMAGE_SIZE} ({reason}); give in_channels in the config'
        )
    in_index = _resolve_in_index(head, len(maps))
    if in_index is None:  # the head has its own way of choosing, and says itself what it needs
        return head
    several = isinstance(in_index, list)
    levels = _choose(name, in_index if several else [in_index], encoder, maps)
    if _takes_levels(head):
        _require_fine_to_coarse(name, in_index, encoder, levels)
    found = dict(in_channels=[x.shape[1] for x in levels])
    if 'feature_strides' in _parameters(head):
        found['feature_strides'] = [IMAGE_SIZE // x.shape[2] for x in levels]
    completed = dict(head)
    for argument, values in found.items():
        value = values if several else values[0]
        given = head.get(argument)
        if given is None:
            completed[argument] = value
        elif _as_list(given) != values:
            raise UserMistake(
                f'{name}: {argument} is {given!r}, but the encoder {encoder} yields {value!r} at '
                f'in_index={in_index!r}; correct one of them, or leave {argument} out to take what '
                'the encoder yields'
            )
    return completed


def _resolve_in_index(head: dict, count: int) -> int | list[int] | None:
    """Return the levels that a head takes; None if they are not known from its config."""
    in_channels, in_index = head.get('in_channels'), head.get('in_index')
    if in_index is None:
        in_index = -1
        if _takes_levels(head):
            in_index = range(len(in_channels) if isinstance(in_channels, (list, tuple)) else count)
    if in_channels is not None and len(_as_list(in_channels)) != len(_as_list(in_index)):
        return None
    return in_index if isinstance(in_index, int) else list(in_index)


def _choose(name: str, in_index: list[int], encoder: str, maps: list[Tensor]) -> list[Tensor]:
    count = len(maps)
    for index in in_index:
        if not -count <= index < count:
            raise UserMistake(
                f'{name}: in_index has {index}, but the encoder {encoder} yields {count} maps; '
                f'choose from 0 to {count - 1}'
            )
        if maps[index].shape[2] != maps[index].shape[3]:
            raise UserMistake(
                f'{name}: map {index} of the encoder {encoder} has the shape '
                f'{tuple(maps[index].shape)} for a square image; heads take (B, C, H, W), channels '
                'before height and width'
            )
    return [maps[index] for index in in_index]


def _require_fine_to_coarse(
    name: str, in_index: list[int], encoder: str, levels: list[Tensor]
) -> None:
    strides = [IMAGE_SIZE // x.shape[2] for x in levels]
    if strides != sorted(strides):
        raise UserMistake(
            f'{name}: in_index={in_index!r} chooses maps of the encoder {encoder} with the strides '
            f'{strides!r}; list them from fine to coarse'
        )


def _takes_levels(head: dict) -> bool:
    """Whether it is a head for several levels, which takes the first ones by default."""
    in_index = _parameters(head).get('in_index')
    return in_index is not None and in_index.default is None


def _parameters(head: dict) -> Mapping[str, inspect.Parameter]:
    head_class = type_of(head, MODELS)
    return inspect.signature(head_class).parameters if head_class else {}


def _as_list(value: Any) -> list:
    return [value] if isinstance(value, int) else list(value)
