"""The windows that slide over an image, checked."""

from collections.abc import Mapping
from typing import Any

from segheads.mistakes import UserMistake


def check_windows(test_cfg: Mapping[str, Any] | None) -> None:
    """Check the settings of sliding windows.

    Args:
        test_cfg (Mapping | None): The ``test_cfg`` of a segmentor.

    Raises:
        UserMistake: If ``mode`` is 'slide' and windows are not described, or would leave gaps.
    """
    if not test_cfg or test_cfg.get('mode') != 'slide':
        return
    crop, stride = test_cfg.get('crop_size'), test_cfg.get('stride')
    for name, value in (('crop_size', crop), ('stride', stride)):
        is_pair = isinstance(value, (list, tuple)) and len(value) == 2
        if not is_pair or not all(isinstance(length, int) and length > 0 for length in value):
            raise UserMistake(
                f"model.test_cfg: mode='slide' needs {name}=(height, width) in pixels, but it is "
                f'{value!r}'
            )
    if stride[0] > crop[0] or stride[1] > crop[1]:
        raise UserMistake(
            f'model.test_cfg: with stride={tuple(stride)} above crop_size={tuple(crop)} windows '
            'leave gaps between them; a stride may be as large as the crop at most'
        )
