"""Cross entropy of the pixels that are hard to classify."""

from math import log

import torch
from mmseg.registry import MODELS
from torch import Tensor

from segheads.layers.fastest_implementation import AUTO, check_implementation

from .upsampled_comparison import compare_upsampled
from .upsampling_loss import UpsamplingLoss, labelled_pixels, pixel_accuracy


@MODELS.register_module()
class OHEMCrossEntropyLoss(UpsamplingLoss):
    """Cross entropy with online hard example mining (OHEM), averaged over the pixels it keeps.

    Kept are the labelled pixels whose class has a probability below a threshold: ``thresh``, or
    what as many as ``min_kept`` pixels per image stay below, if that is more. If none is kept, all
    labelled pixels are.

    MMSegmentation's ``OHEMPixelSampler`` keeps the same pixels, but the loss is then divided by
    the number of all pixels; its ``OhemCrossEntropy`` counts ``min_kept`` per batch, and is not a
    ``loss_decode`` that a decode head could call.

    It up-samples the logits by itself: once to choose the pixels, once for the loss.

    Args:
        thresh (float): Probability from which a pixel is not hard. Default: 0.7.
        min_kept (int): Number of pixels per image to keep at least. Default: 100000.
        loss_weight (float): Weight of the loss. Default: 1.0.
        loss_name (str): Name of the loss in logs. Default: 'loss_ce'.
        implementation (str): How it is computed, 'full', 'tiles', 'kernel' or 'auto'; see
            :func:`segheads.losses.upsampled_comparison.compare_upsampled`. Default: 'auto'.

    Raises:
        ValueError: If ``thresh`` is no probability above 0, ``min_kept`` is negative, or
            ``implementation`` is none of these.
    """

    def __init__(
        self,
        thresh: float = 0.7,
        min_kept: int = 100000,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
        implementation: str = AUTO,
    ) -> None:
        super().__init__(loss_weight, loss_name)
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
        self.implementation = check_implementation(implementation, type(self).__name__)

    def loss_and_accuracy(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
        align_corners: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss and the accuracy; see :class:`UpsamplingLoss`.

        Args:
            logits (Tensor): Scores of the classes (B, num_classes, h, w).
            labels (Tensor): Class of each pixel (B, H, W).
            weight (Tensor, optional): What a head passes that has a pixel sampler.
            ignore_index (int, optional): Label of pixels without a class. Default: 255.
            align_corners (bool): How the logits are up-sampled. Default: False.

        Returns:
            tuple[Tensor, Tensor]: The loss, a scalar, 0 if no pixel is labelled; the pixel
            accuracy, (1,).

        Raises:
            ValueError: If ``weight`` is given, if there is one class only, or if a label is
                neither a class nor ignored.
        """
        if weight is not None:
            raise ValueError(
                'OHEMCrossEntropyLoss chooses the pixels by itself: remove the sampler of the head.'
            )
        labelled = labelled_pixels(labels, logits.shape[1], ignore_index)
        settings = align_corners, self.implementation
        _, losses, correct = compare_upsampled(logits.detach(), labels, labelled, *settings)
        kept = self._kept(losses, labelled)
        total, *_ = compare_upsampled(logits, labels, kept, *settings)
        loss = self.loss_weight * total / kept.sum().clamp(min=1)
        return loss, pixel_accuracy(correct, labelled)

    def _kept(self, losses: Tensor, labelled: Tensor) -> Tensor:
        # The loss is minus the logarithm of the probability: low probabilities are high losses.
        # Pixels that are not labelled have none, and come last.
        hardest_first = losses.flatten().sort(descending=True).values
        last = (labelled.sum() - 1).clamp(0, self.min_kept * len(losses))
        # Looked up by the device: an index would be fetched from it first.
        threshold = hardest_first.gather(0, last.view(1)).clamp(max=-log(self.thresh))
        kept = losses > threshold
        return torch.where(kept.any(), kept, labelled)
