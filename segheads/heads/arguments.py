"""Checks of the arguments that all heads share."""

from collections.abc import Sequence


def resolve_in_index(
    head: str, in_channels: Sequence[int], in_index: Sequence[int] | None
) -> list[int]:
    """Check that backbone levels and widths fit together.

    Args:
        head (str): Name of the head, for the message.
        in_channels (Sequence[int]): Width of each level that the head takes.
        in_index (Sequence[int], optional): Backbone output of each; None for the first ones.

    Returns:
        list[int]: Backbone output of each level.

    Raises:
        ValueError: If either is not a sequence, or their lengths differ.
    """
    if not isinstance(in_channels, (list, tuple)) or len(in_channels) < 2:
        raise ValueError(
            f'{head}: in_channels must list the widths of at least two backbone levels, such as '
            f'[32, 64, 160, 256], but is {in_channels!r}.'
        )
    if in_index is None:
        return list(range(len(in_channels)))
    if not isinstance(in_index, (list, tuple)) or len(in_index) != len(in_channels):
        raise ValueError(
            f'{head}: in_index must list one backbone output per entry of in_channels '
            f'{list(in_channels)}, but is {in_index!r}.'
        )
    return list(in_index)
