"""Losses that up-sample the logits of a head by themselves."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from .label_check import find_labelled


class UpsamplingLoss(nn.Module, ABC):
    """A ``loss_decode`` that takes the logits of a head as the head computes them.

    A head of MMSegmentation up-samples its logits to the size of the labels and hands them to its
    losses; importing segheads makes it hand these losses the logits as they are
    (:mod:`segheads.heads.low_resolution`).

    Args:
        loss_weight (float): Weight of the loss.
        loss_name (str): Name of the loss in logs.
    """

    def __init__(self, loss_weight: float, loss_name: str) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    @abstractmethod
    def loss_and_accuracy(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
        align_corners: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Compute the loss and, in the same pass, the pixel accuracy.

        Args:
            logits (Tensor): Scores of the classes (B, num_classes, h, w).
            labels (Tensor): Class of each pixel (B, H, W).
            weight (Tensor, optional): Weight of each pixel (B, H, W), from the head's sampler.
            ignore_index (int, optional): Label of pixels without a class. Default: 255.
            align_corners (bool): How the logits are up-sampled. Default: False.

        Returns:
            tuple[Tensor, Tensor]: The loss, a scalar, and the percentage of the labelled pixels
            whose label has the highest score, (1,).
        """

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
        align_corners: bool = False,
    ) -> Tensor:
        """Compute the loss; see :meth:`loss_and_accuracy`."""
        return self.loss_and_accuracy(logits, labels, weight, ignore_index, align_corners)[0]


def labelled_pixels(labels: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    """Find the pixels that have a class.

    Args:
        labels (Tensor): Class of each pixel (B, H, W).
        num_classes (int): Number of classes that the logits have.
        ignore_index (int, optional): Label of pixels without a class.

    Returns:
        Tensor: Whether a pixel has a class, (B, H, W).

    Raises:
        ValueError: If a label is neither a class nor ``ignore_index``, on a GPU with one of the
            next batches (:mod:`segheads.losses.label_check`); or if there is one class only, of
            which softmax makes nothing.
    """
    if num_classes == 1:
        raise ValueError(
            'A softmax over one score says nothing: for a head with out_channels=1 take '
            "loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)."
        )
    return find_labelled(labels, num_classes, ignore_index)


def pixel_accuracy(correct: Tensor, labelled: Tensor) -> Tensor:
    """Compute the share of the labelled pixels that are classified correctly.

    Args:
        correct (Tensor): Whether a pixel's label has the highest score, (B, H, W).
        labelled (Tensor): Whether a pixel has a class, (B, H, W).

    Returns:
        Tensor: The percentage, (1,), as the function ``accuracy`` of MMSegmentation computes it:
        100 where nothing is labelled.
    """
    epsilon = torch.finfo(torch.float32).eps
    num_correct = (correct & labelled).sum().view(1).float()
    return (num_correct + epsilon) * 100.0 / (labelled.sum() + epsilon)
