"""Heads that take the widths of their inputs from the encoder."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from segheads.mistakes import UserMistake
from segheads.registered_types import type_name, type_of

# Small, and square, so that channels in the last dimension are noticed.
IMAGE_SIZE = (64, 64)
# That of ImageNet, for encoders whose windows are larger than the coarsest map of a tiny image.
LARGER_IMAGE_SIZE = (224, 224)


class InferredWidths:
    """Mixin of a segmentor: heads may leave out ``in_channels``.

    The encoder, that is the backbone and the neck if there is one, encodes a tiny black image, and
    each decode and auxiliary head gets the widths of the maps that its ``in_index`` chooses. Where
    a config gives ``in_channels``, and it is not what the encoder yields, the model is not built.
    The same holds for the ``feature_strides`` of a head that has this argument.

    Without ``in_index`` the heads of this package that take several levels take all of them, and
    any other head the last one, as everywhere in MMSegmentation.

    An encoder that cannot encode so small an image gets one of the size that it was built for, its
    ``img_size``, or else of 224x224. One that cannot encode these needs ``in_channels`` to be
    given; nothing is compared then.
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
        encoder = _encode_black_image(self)
        if not isinstance(heads, (list, tuple)):
            return _complete_head(heads, encoder)
        return [_complete_head(head, encoder) for head in heads]


@dataclass
class Encoder:
    """What became of a black image in an encoder.

    Args:
        name (str): Class of the backbone, or of the neck behind it.
        image_size (tuple[int, int]): Height and width of the image.
        maps (list[Tensor] | None): The maps, each (1, C, H, W); None if there are none.
        failure (Exception | None): What the encoder raised, if it did.
    """

    name: str
    image_size: tuple[int, int]
    maps: list[Tensor] | None
    failure: Exception | None = None

    def strides(self, levels: Sequence[Tensor]) -> list[int]:
        """Returns how many pixels of the image one of each of some maps stands for."""
        return [self.image_size[0] // x.shape[2] for x in levels]


def _encode_black_image(segmentor: nn.Module) -> Encoder:
    """Run the encoder on a tiny image, or on the smallest that it may have been built for."""
    name = type(segmentor.neck if segmentor.with_neck else segmentor.backbone).__name__
    for size in (IMAGE_SIZE, _own_image_size(segmentor.backbone)):
        try:
            return Encoder(name, size, _run(segmentor, size))
        except Exception as error:  # foreign code, which a model may run all the same
            failed = Encoder(name, size, None, error)
    return failed


def _own_image_size(backbone: nn.Module) -> tuple[int, int]:
    """Return the ``img_size`` of a backbone or of its first part that has one."""
    for module in backbone.modules():
        size = getattr(module, 'img_size', None)
        if isinstance(size, int):
            return size, size
        if isinstance(size, (list, tuple)) and len(size) == 2:
            return tuple(size)
    return LARGER_IMAGE_SIZE


@torch.no_grad()
def _run(segmentor: nn.Module, size: tuple[int, int]) -> list[Tensor] | None:
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
            maps = segmentor.extract_feat(torch.zeros(1, in_channels, *size))
    finally:
        for module, mode in modes.items():
            module.training = mode
    are_maps = isinstance(maps, (list, tuple)) and all(
        isinstance(x, Tensor) and x.dim() == 4 for x in maps
    )
    return list(maps) if are_maps else None


def _complete_head(head: dict, encoder: Encoder) -> dict:
    name = type_name(head)
    if encoder.maps is None:
        if 'in_channels' in head:
            return head
        reason = encoder.failure or 'it does not yield a list of maps (B, C, H, W)'
        size = 'x'.join(map(str, encoder.image_size))
        raise UserMistake(
            f'{name}: in_channels cannot be taken from the encoder {encoder.name}, which fails on '
            f'an image of {size} ({reason}); give in_channels in the config'
        )
    in_index = _resolve_in_index(head, len(encoder.maps))
    if in_index is None:  # the head has its own way of choosing, and says itself what it needs
        return head
    several = isinstance(in_index, list)
    levels = _choose(name, in_index if several else [in_index], encoder)
    if _takes_levels(head):
        _require_fine_to_coarse(name, in_index, encoder, levels)
    found = dict(in_channels=[x.shape[1] for x in levels])
    if 'feature_strides' in _parameters(head):
        found['feature_strides'] = encoder.strides(levels)
    completed = dict(head)
    for argument, values in found.items():
        value = values if several else values[0]
        given = head.get(argument)
        if given is None:
            completed[argument] = value
        elif _as_list(given) != values:
            raise UserMistake(
                f'{name}: {argument} is {given!r}, but the encoder {encoder.name} yields {value!r} '
                f'at in_index={in_index!r}; correct one of them, or leave {argument} out to take '
                'what the encoder yields'
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


def _choose(name: str, in_index: list[int], encoder: Encoder) -> list[Tensor]:
    count = len(encoder.maps)
    height, width = encoder.image_size
    for index in in_index:
        if not -count <= index < count:
            raise UserMistake(
                f'{name}: in_index has {index}, but the encoder {encoder.name} yields {count} '
                f'maps; choose from 0 to {count - 1}'
            )
        shape = encoder.maps[index].shape
        # Within a pixel of the map, by which encoders may round.
        if abs(shape[2] * width - shape[3] * height) >= max(height, width):
            raise UserMistake(
                f'{name}: map {index} of the encoder {encoder.name} has the shape {tuple(shape)} '
                f'for an image of {height}x{width}; heads take (B, C, H, W), channels before '
                'height and width'
            )
    return [encoder.maps[index] for index in in_index]


def _require_fine_to_coarse(
    name: str, in_index: list[int], encoder: Encoder, levels: list[Tensor]
) -> None:
    strides = encoder.strides(levels)
    if strides != sorted(strides):
        raise UserMistake(
            f'{name}: in_index={in_index!r} chooses maps of the encoder {encoder.name} with the '
            f'strides {strides!r}; list them from fine to coarse'
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
