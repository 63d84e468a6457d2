"""Layers of MMSegmentation in forms of equal output that can be exported for any size."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from mmseg.models.backbones.mit import EfficientMultiheadAttention
from mmseg.models.backbones.swin import ShiftWindowMSA
from mmseg.models.utils.embed import AdaptivePadding
from torch import Tensor
from torch.nn import functional as F


@contextmanager
def sizes_left_open() -> Iterator[None]:
    """Put the forms below in place of MMSegmentation's, while the context lasts.

    MMSegmentation's branch on whether there is anything to pad, count windows in floating point,
    write into slices of a mask, and MiT's attention tells one image from several. An export would
    keep what held for the example only.
    """
    with (
        mock.patch.object(AdaptivePadding, 'get_pad_shape', _pad_shape),
        mock.patch.object(AdaptivePadding, 'forward', _pad),
        mock.patch.object(EfficientMultiheadAttention, 'forward', _attend_to_reduced),
        mock.patch.object(ShiftWindowMSA, 'forward', _attend_in_windows),
    ):
        yield


def missing(extent: int, divisor: int) -> int:
    """What lacks to the next multiple, without negative numbers, which ONNX divides otherwise."""
    return (extent + divisor - 1) // divisor * divisor - extent


def _pad_shape(self: AdaptivePadding, input_shape: tuple[int, int]) -> tuple[int, int]:
    return tuple(
        # Never negative where strides are no larger than kernels, as everywhere in MMSegmentation.
        missing(extent, stride) + (kernel - 1) * dilation + 1 - stride
        for extent, stride, kernel, dilation in zip(
            input_shape, self.stride, self.kernel_size, self.dilation, strict=True
        )
    )


def _pad(self: AdaptivePadding, x: Tensor) -> Tensor:
    pad_height, pad_width = self.get_pad_shape(x.shape[2:])
    if self.padding == 'corner':
        return F.pad(x, (0, pad_width, 0, pad_height))
    top, left = pad_height // 2, pad_width // 2
    return F.pad(x, (left, pad_width - left, top, pad_height - top))


def _attend_to_reduced(
    self: EfficientMultiheadAttention,
    x: Tensor,
    hw_shape: tuple[int, int],
    identity: Tensor | None = None,
) -> Tensor:
    """Attend from (B, H * W, C) to the map at reduced size, as ``EfficientMultiheadAttention``."""
    source = x
    if self.sr_ratio > 1:
        source = self.sr(x.transpose(1, 2).unflatten(2, hw_shape))
        source = self.norm(source.flatten(2).transpose(1, 2))
    attention = self.attn
    weights = attention.in_proj_weight.chunk(3)
    biases = (None,) * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
    query, key, value = (
        F.linear(tokens, weight, bias).unflatten(2, (attention.num_heads, -1)).transpose(1, 2)
        for tokens, weight, bias in zip((x, source, source), weights, biases, strict=True)
    )  # (B, heads, tokens, C / heads)
    attended = F.scaled_dot_product_attention(query, key, value)
    attended = attention.out_proj(attended.transpose(1, 2).flatten(2))
    identity = x if identity is None else identity
    return identity + self.dropout_layer(self.proj_drop(attended))


def _attend_in_windows(self: ShiftWindowMSA, query: Tensor, hw_shape: tuple[int, int]) -> Tensor:
    """Attend within (B, H * W, C), as ``ShiftWindowMSA``."""
    height, width = hw_shape
    window, shift = self.window_size, self.shift_size
    # Counted first, so that the padded size is seen to be a multiple of the window.
    rows, columns = ((extent + window - 1) // window for extent in hw_shape)
    x = query.unflatten(1, hw_shape)
    x = F.pad(x, (0, 0, 0, columns * window - width, 0, rows * window - height))

    mask = None
    if shift > 0:
        x = torch.roll(x, shifts=(-shift, -shift), dims=(1, 2))
        down, across = (_parts(count, window, shift, x) for count in (rows, columns))
        parts = _partition((3 * down[:, None] + across)[None, :, :, None], rows, columns).squeeze(2)
        differ = parts[:, None] != parts[:, :, None]
        mask = torch.where(differ, -100.0, 0.0).to(x.dtype)

    x = self.w_msa(_partition(x, rows, columns), mask=mask)
    x = x.unflatten(0, (-1, rows, columns)).unflatten(3, (window, window))
    x = _copied(x.transpose(2, 3)).flatten(3, 4).flatten(1, 2)
    if shift > 0:
        x = torch.roll(x, shifts=(shift, shift), dims=(1, 2))
    # Not a slice: whether that is contiguous depends on the size, and the export would ask.
    for dim, extent in ((1, height), (2, width)):
        x = x.index_select(dim, torch.arange(extent, device=x.device))
    return self.drop(x.flatten(1, 2))


def _partition(x: Tensor, rows: int, columns: int) -> Tensor:
    """Cut (B, H, W, C) into windows (B * rows * columns, pixels of a window, C)."""
    x = x.unflatten(2, (columns, -1)).unflatten(1, (rows, -1))
    return _copied(x.transpose(2, 3)).flatten(3, 4).flatten(0, 2)


def _copied(x: Tensor) -> Tensor:
    """Without it, whether a transposed map has to be copied would be asked, and kept."""
    return x.clone(memory_format=torch.contiguous_format)


def _parts(count: int, window: int, shift: int, x: Tensor) -> Tensor:
    """Number the three parts of a shifted side of windows that do not see each other."""
    extent = count * window
    position = torch.arange(extent, device=x.device)
    return (position >= extent - window).long() + (position >= extent - shift).long()
