"""Which classes are in which region of an image, as a classification loss."""

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


@MODELS.register_module()
class RegionClassificationLoss(nn.Module):
    r"""Multi-label focal loss of class scores in the regions of an image.

    A class is present in a region if at least ``min_share`` of its pixels carry its label, and
    absent if none does; in between the score is not judged. With :math:`u` the logit of a present
    class, or minus that of an absent one, the loss of a score is

    .. math:: \sigma(-u)^\gamma \log(1 + e^{-u}).

    It is averaged for each class over the regions in which it is judged, then over all classes.

    The loss of "Partial Class Activation Attention for Semantic Segmentation" (Liu et al., CVPR
    2022). There it is computed from probabilities, with the same value, but without gradient where
    a score is confidently wrong; from logits it has one everywhere.

    Args:
        gamma (float): How strongly the loss neglects what is well classified; 0 is cross entropy.
            Default: 2.0.
        min_share (float): Share of a region's pixels from which a class is present in it.
            Default: 0.01.
        ignore_empty_regions (bool): Whether regions without any labelled pixel are not judged.
            In the release all classes are absent from them. Default: False.
        loss_weight (float): Weight of the loss. Default: 1.0.
        loss_name (str): Name of the loss in logs. Default: 'loss_cls'.

    Raises:
        ValueError: If ``gamma`` is negative or ``min_share`` is not between 0 and 1.
    """

    def __init__(
        self,
        gamma: float = 2.0,
        min_share: float = 0.01,
        ignore_empty_regions: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_cls',
    ) -> None:
        super().__init__()
        if gamma < 0:
            raise ValueError(
                f'RegionClassificationLoss: gamma must not be negative, but is {gamma}.'
            )
        if not 0 <= min_share <= 1:
            raise ValueError(
                f'RegionClassificationLoss: min_share must be from 0 to 1, but is {min_share}.'
            )
        self.gamma = gamma
        self.min_share = min_share
        self.ignore_empty_regions = ignore_empty_regions
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(self, logits: Tensor, labels: Tensor, ignore_index: int = 255) -> Tensor:
        """Compare the scores with the labels.

        Args:
            logits (Tensor): Scores of the classes before the sigmoid, (B, num_classes, rows of
                regions, columns of regions).
            labels (Tensor): Class of each pixel, (B, H, W).
            ignore_index (int): Label of pixels without a class. Default: 255.

        Returns:
            Tensor: The loss, a scalar in float32 or better.
        """
        present, judged = self.targets(labels, logits.shape[1], logits.shape[2:], ignore_index)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        confidence = torch.where(present, logits, -logits)
        focal = torch.sigmoid(-confidence).pow(self.gamma) * -F.logsigmoid(confidence)
        counts = judged.sum(dim=(0, 2, 3))
        per_class = (focal * judged).sum(dim=(0, 2, 3)) / counts.clamp(min=1)
        return self.loss_weight * per_class.mean()

    def targets(
        self, labels: Tensor, num_classes: int, bins: tuple[int, int], ignore_index: int = 255
    ) -> tuple[Tensor, Tensor]:
        """Find which classes are in which regions.

        Args:
            labels (Tensor): Class of each pixel, (B, H, W).
            num_classes (int): Number of classes.
            bins (tuple[int, int]): Number of regions along the height and the width.
            ignore_index (int): Label of pixels without a class. Default: 255.

        Returns:
            tuple[Tensor, Tensor]: Whether a class is present, and whether it is judged, both
            (B, num_classes, *bins).
        """
        counts = count_labels(labels, num_classes, bins, ignore_index)
        share = counts / counts.sum(dim=1, keepdim=True)
        of_classes = counts[:, :num_classes]
        present = (share[:, :num_classes] >= self.min_share) & (of_classes > 0)
        judged = present | (of_classes == 0)
        if self.ignore_empty_regions:
            judged = judged & (of_classes.sum(dim=1, keepdim=True) > 0)
        return present, judged


def count_labels(
    labels: Tensor, num_classes: int, bins: tuple[int, int], ignore_index: int = 255
) -> Tensor:
    """Count the pixels of each class in each region.

    The regions are PyTorch's adaptive pooling windows: where the bins do not divide a side,
    neighbours share a row or column.

    Args:
        labels (Tensor): Class of each pixel, (B, H, W). Whatever is no class is not labelled.
        num_classes (int): Number of classes.
        bins (tuple[int, int]): Number of regions along the height and the width.
        ignore_index (int): Label of pixels without a class. Default: 255.

    Returns:
        Tensor: Counts (B, num_classes + 1, *bins); the last ones are of pixels without a class.
    """
    rows, row_bins = _windows(labels.shape[1], bins[0], labels.device)
    columns, column_bins = _windows(labels.shape[2], bins[1], labels.device)
    labels = labels[:, rows][:, :, columns]
    is_class = (labels != ignore_index) & (labels >= 0) & (labels < num_classes)
    labels = torch.where(is_class, labels, num_classes)

    image = torch.arange(len(labels), device=labels.device)[:, None, None]
    region = (image * bins[0] + row_bins[:, None]) * bins[1] + column_bins
    num_regions, num_labels = len(labels) * bins[0] * bins[1], num_classes + 1
    counts = torch.bincount(
        (region * num_labels + labels).flatten(), minlength=num_regions * num_labels
    )
    return counts.view(len(labels), *bins, num_labels).permute(0, 3, 1, 2)


def _windows(extent: int, bins: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """List the positions in the windows along a side, window by window, and whose they are."""
    windows = [
        torch.arange(index * extent // bins, -(-(index + 1) * extent // bins), device=device)
        for index in range(bins)
    ]
    lengths = torch.tensor([len(window) for window in windows], device=device)
    return torch.cat(windows), torch.arange(bins, device=device).repeat_interleave(lengths)
