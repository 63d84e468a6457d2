"""Images in tensors of PyTorch."""

import numpy as np
import torch
from torch import Tensor

from segheads.mistakes import UserMistake


def array_of_tensor(image: Tensor, takes_bytes: bool) -> np.ndarray:
    """Makes the array of a tensor, as :class:`segheads.inference.images.ImageReader` takes it.

    Args:
        image (Tensor): (C, H, W), in uint8 with 0 to 255 or in floating point with 0 to 1, as
            torchvision has it. Where a config does not load 8 bits, the values are those of its
            files.
        takes_bytes (bool): Whether the config loads 8 bits.

    Returns:
        numpy.ndarray: (H, W, C). Of floating point and 8 bits each value times 255, rounded.

    Raises:
        UserMistake: If it is no image, or if its values are out of range.
    """
    if image.ndim != 3 or image.numel() == 0:
        raise UserMistake(
            'a tensor is an image if it has the shape (C, H, W), and several if it has '
            f'(B, C, H, W), but got {tuple(image.shape)}'
        )
    channels, height, width = image.shape
    if takes_bytes and channels not in (1, 3, 4):
        remedy = '; move the channels to the front' if width in (1, 3, 4) else ''
        raise UserMistake(
            f'a tensor has the shape (C, H, W) with 1, 3 or 4 channels, but got '
            f'{tuple(image.shape)}{remedy}'
        )
    image = image.detach().cpu().permute(1, 2, 0)
    if takes_bytes and image.is_floating_point():
        image = image.float()
        low, high = image.min().item(), image.max().item()
        if not (low >= 0 and high <= 1):  # so is NaN
            raise UserMistake(
                'a tensor in floating point has values from 0 to 1, but got '
                f'{low:g} to {high:g}; divide by 255, undo a normalisation, or give uint8'
            )
        image = (image * 255).round().to(torch.uint8)
    if image.dtype in (torch.bfloat16, torch.float16):
        image = image.float()
    return image.numpy()
