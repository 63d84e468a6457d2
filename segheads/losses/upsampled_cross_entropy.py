"""Cross entropy at the resolution of the labels, in a fraction of the memory and time."""

from collections.abc import Sequence

import torch
from mmseg.models.losses.utils import get_class_weight
from mmseg.registry import MODELS
from torch import Tensor

from segheads.layers.fastest_implementation import AUTO, check_implementation

from .upsampled_comparison import compare_upsampled
from .upsampling_loss import UpsamplingLoss, labelled_pixels, pixel_accuracy


@MODELS.register_module()
class UpsampledCrossEntropyLoss(UpsamplingLoss):
    """Softmax cross entropy that up-samples the logits by itself.

    The same loss and gradient as MMSegmentation's ``CrossEntropyLoss`` behind the up-sampling of a
    head, but logits at the resolution of the labels, which take most of the memory and time of
    many a training step, never exist as a whole.

    Args:
        use_sigmoid (bool): Must be False; there for configs written for ``CrossEntropyLoss``.
            Default: False.
        class_weight (Sequence[float] | str, optional): Weight of each class, or a file that holds
            them. Default: None.
        avg_non_ignore (bool): Whether the losses are averaged over the labelled pixels. Otherwise
            ignored pixels count too, though their loss is 0. With ``class_weight`` a pixel counts
            as much as its class weighs, and an ignored one as much as the class whose index
            ``ignore_index`` is, or 1 if it is none, where ``CrossEntropyLoss`` fails.
            Default: False.
        loss_weight (float): Weight of the loss. Default: 1.0.
        loss_name (str): Name of the loss in logs. Default: 'loss_ce'.
        implementation (str): How it is computed, 'full', 'tiles', 'kernel' or 'auto'; see
            :func:`segheads.losses.upsampled_comparison.compare_upsampled`. Default: 'auto'.

    Raises:
        ValueError: If ``use_sigmoid`` is set, or ``implementation`` is none of these; in a forward
            pass, if there is one class only, if the number of class weights is not that of the
            classes, or if a label is neither a class nor ignored.
    """

    def __init__(
        self,
        use_sigmoid: bool = False,
        class_weight: Sequence[float] | str | None = None,
        avg_non_ignore: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
        implementation: str = AUTO,
    ) -> None:
        if use_sigmoid:
            raise ValueError(
                'UpsampledCrossEntropyLoss is a softmax cross entropy: with use_sigmoid=True take '
                "type='CrossEntropyLoss'."
            )
        super().__init__(loss_weight, loss_name)
        self.class_weight = get_class_weight(class_weight)
        # On the device of the model: a list would be copied to it in every step.
        weights = None if class_weight is None else torch.tensor(self.class_weight).float()
        self.register_buffer('_class_weight', weights, persistent=False)
        self.avg_non_ignore = avg_non_ignore
        self.implementation = check_implementation(implementation, type(self).__name__)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
        align_corners: bool = False,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits (Tensor): Scores of the classes (B, num_classes, h, w).
            labels (Tensor): Class of each pixel (B, H, W).
            weight (Tensor, optional): Weight of each pixel (B, H, W).
            ignore_index (int, optional): Label of pixels without a class. Default: 255.
            align_corners (bool): How the logits are up-sampled. Default: False.
            reduction_override (str, optional): 'none' for the losses of the pixels, without
                gradient, by which MMSegmentation's ``OHEMPixelSampler`` chooses. Default: None.

        Returns:
            Tensor: The loss, a scalar, or the losses (B, H, W).
        """
        if reduction_override == 'none':
            return self._pixel_losses(logits, labels, ignore_index, align_corners)
        return super().forward(logits, labels, weight, ignore_index, align_corners)

    def loss_and_accuracy(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
        align_corners: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss and the accuracy; see :class:`UpsamplingLoss`."""
        labelled = labelled_pixels(labels, logits.shape[1], ignore_index)
        counts = self._counts(labels, labelled, logits, ignore_index)
        pixel_weight = counts * labelled
        if weight is not None:
            pixel_weight = pixel_weight * weight
        total, _, correct = compare_upsampled(
            logits, labels, pixel_weight, align_corners, self.implementation
        )
        # As in MMSegmentation, so that nothing is divided by 0 where no pixel is labelled.
        number = counts.sum() + torch.finfo(torch.float32).eps
        return self.loss_weight * total / number, pixel_accuracy(correct, labelled)

    @torch.no_grad()
    def _pixel_losses(
        self, logits: Tensor, labels: Tensor, ignore_index: int | None, align_corners: bool
    ) -> Tensor:
        labelled = labelled_pixels(labels, logits.shape[1], ignore_index)
        pixel_weight = self._counts(labels, labelled, logits, ignore_index) * labelled
        _, losses, _ = compare_upsampled(
            logits, labels, pixel_weight, align_corners, self.implementation
        )
        return self.loss_weight * losses * pixel_weight

    def _counts(
        self, labels: Tensor, labelled: Tensor, logits: Tensor, ignore_index: int | None
    ) -> Tensor:
        """How much each pixel counts in the average, (B, H, W)."""
        dtype = torch.promote_types(logits.dtype, torch.float32)
        if self.class_weight is None:
            counts = torch.ones_like(labels, dtype=dtype)
        else:
            class_weight = self._class_weight.to(logits.device, dtype)
            if dtype == torch.float64:  # the buffer is less precise, as some devices have no other
                class_weight = torch.tensor(self.class_weight, dtype=dtype, device=logits.device)
            if class_weight.shape != logits.shape[1:2]:
                raise ValueError(
                    'UpsampledCrossEntropyLoss: class_weight must list one weight per class, '
                    f'{logits.shape[1]}, but lists {class_weight.numel()}.'
                )
            ignored = 1.0
            # Where the label of ignored pixels is an index of the weights, MMSegmentation takes it.
            if ignore_index is not None and -len(class_weight) <= ignore_index < len(class_weight):
                ignored = class_weight[ignore_index]
            labels = labels.long().clamp(0, len(class_weight) - 1)
            counts = class_weight[labels].where(labelled, ignored)
        return counts * labelled if self.avg_non_ignore else counts
