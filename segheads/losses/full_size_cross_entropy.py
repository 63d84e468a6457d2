"""Cross entropy of up-sampled logits by PyTorch's operators, as MMSegmentation computes it."""

import torch
from torch import Tensor
from torch.nn import functional as F


def full_size_cross_entropy(
    logits: Tensor, labels: Tensor, weight: Tensor, align_corners: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Up-sample logits bilinearly and compare them with labels.

    Args:
        logits (Tensor): Scores of the classes (B, C, h, w). Computed is in float32 or better.
        labels (Tensor): Class of each pixel (B, H, W). A pixel without a class may have any label
            and must have no weight.
        weight (Tensor): Weight of each pixel (B, H, W); it gets no gradient.
        align_corners (bool): As in :func:`torch.nn.functional.interpolate`.

    Returns:
        tuple[Tensor, Tensor, Tensor]: The weighted sum of the losses of all pixels, a scalar; the
        losses (B, H, W) without weight and without gradient, 0 where a pixel has no weight;
        whether a pixel's label has the highest score, (B, H, W).
    """
    with torch.autocast(logits.device.type, enabled=False):
        scores = F.interpolate(
            logits.to(torch.promote_types(logits.dtype, torch.float32)),
            labels.shape[1:],
            mode='bilinear',
            align_corners=align_corners,
        )
        labels = labels.long().clamp(0, logits.shape[1] - 1)
        losses = F.cross_entropy(scores, labels, reduction='none').masked_fill(weight == 0, 0)
        total = (losses * weight.to(losses.dtype)).sum()
    return total, losses.detach(), scores.argmax(dim=1) == labels
