"""Cross entropy of the pixels that are hard to classify."""

from math import log

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class OHEMCrossEntropyLoss(nn.Module):
    """Cross entropy with online hard example mining (OHEM), averaged over the pixels it keeps.

    Kept are the labelled pixels whose class has a probability below a threshold: ``thresh``, or
    what as many as ``min_kept`` pixels per image stay below, if that is more. If none is kept, all
    labelled pixels are.

    MMSegmentation's ``OHEMPixelSampler`` keeps the same pixels, but the loss is then divided by
    the number of all pixels; its ``OhemCrossEntropy`` counts ``min_kept`` per batch, and is not a
    ``loss_decode`` that a decode head could call.

    Args:
        thresh (float): Probability from which a pixel is not hard. Default: 0.7.
        min_kept (int): Number of pixels per image to keep at least. Default: 100000.
        loss_weight (float): Weight of the loss. Default: 1.0.
        loss_name (str): Name of the loss in logs. Default: 'loss_ce'.

    Raises:
        ValueError: If ``thresh`` is no probability above 0, or ``min_kept`` is negative.
    """

    def __init__(
        self,
        thresh: float = 0.7,
        min_kept: int = 100000,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ) -> None:
        super().__init__()
        if not 0 < thresh <= 1:
            raise ValueError(
                f'OHEMCrossEntropyLoss: thresh must be above 0 and at most 1, but is {thresh}.'
            )
        if min_kept < 0:
            raise ValueError(
                f'OHEMCrossEntropyLoss: min_kept must not be negative, but is {min_kept}.'
            )
        self.thresh = thresh
        self.min_kept = min_kept
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits (Tensor): Scores of the classes (B, num_classes, H, W).
            labels (Tensor): Class of each pixel (B, H, W).
            weight (Tensor, optional): What a head passes that has a pixel sampler.
            ignore_index (int): Label of pixels without a class. Default: 255.

        Returns:
            Tensor: The loss, a scalar; 0 if no pixel is labelled.

        Raises:
            ValueError: If ``weight`` is given.
        """
        if weight is not None:
            raise ValueError(
                'OHEMCrossEntropyLoss chooses the pixels by itself: remove the sampler of the head.'
            )
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        losses = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction='none')
        with torch.no_grad():
            kept = self._kept(losses, labels != ignore_index)
        return self.loss_weight * (losses * kept).sum() / kept.sum().clamp(min=1)

    def _kept(self, losses: Tensor, labelled: Tensor) -> Tensor:
        # The loss is minus the logarithm of the probability: low probabilities are high losses.
        # Pixels that are not labelled have none, and come last.
        hardest_first = losses.flatten().sort(descending=True).values
        last = (labelled.sum() - 1).clamp(0, self.min_kept * len(losses))
        kept = losses > hardest_first[last].clamp(max=-log(self.thresh))
        return torch.where(kept.any(), kept, labelled)
