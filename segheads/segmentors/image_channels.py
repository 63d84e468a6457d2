"""How many channels a model takes."""

from mmseg.models import BaseSegmentor
from torch import nn


def image_channels(backbone: nn.Module) -> int:
    """Returns the number of channels of the images that a backbone takes.

    Args:
        backbone (nn.Module): A backbone.

    Returns:
        int: Those of its first convolution; 3 if it has none.
    """
    return next((m.in_channels for m in backbone.modules() if isinstance(m, nn.Conv2d)), 3)


def channel_fault(model: BaseSegmentor, channels: int) -> str | None:
    """Says what does not fit together, where a model fails on images.

    Args:
        model (BaseSegmentor): The model.
        channels (int): Channels of the images, as the data pipeline yields them.

    Returns:
        str | None: The sentence; None if the numbers of channels fit.
    """
    taken = image_channels(model.backbone)
    preprocessor = model.data_preprocessor
    lengths = {
        name: len(getattr(preprocessor, name))
        for name in ('mean', 'std')
        if getattr(preprocessor, name, None) is not None
    }
    if channels == taken and set(lengths.values()) <= {1, taken}:
        return None
    values = ' and '.join(f'{length} for {name}' for name, length in lengths.items())
    return (
        f'the backbone takes images of {taken} channels (its in_channels), the pipeline yields '
        f'{channels}, and data_preprocessor has {values or "no"} values; make them equal, by '
        'color_type of the loading transform or in the model'
    )
