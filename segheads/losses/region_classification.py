"""Which classes are in which region of an image, as a classification loss."""

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from segheads.layers.size_tables import kept_per_size


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
    is_class = (labels != ignore_index) & (labels >= 0) & (labels < num_classes)
    labels = torch.where(is_class, labels, num_classes)
    # One more for what is not in a window that is shorter than others. By image, bin of the height,
    # row in it, bin of the width, column in it:
    num_labels = num_classes + 2
    labels = _cut(_cut(labels, 2, bins[1], num_classes + 1), 1, bins[0], num_classes + 1)

    region = torch.arange(len(labels) * bins[0] * bins[1], device=labels.device)
    places = region.view(-1, bins[0], 1, bins[1], 1) * num_labels + labels
    # `bincount` would ask the device for the largest place.
    counts = places.new_zeros(len(region) * num_labels)
    counts = counts.scatter_add(0, places.flatten(), torch.ones_like(places).flatten())
    return counts.view(-1, *bins, num_labels)[..., :-1].permute(0, 3, 1, 2)


def _cut(labels: Tensor, dim: int, bins: int, outside: int) -> Tensor:
    """Cut a side into windows; ``dim`` becomes the windows and the positions in each."""
    extent = labels.shape[dim]
    if extent % bins == 0:
        return labels.unflatten(dim, (bins, extent // bins))
    positions, inside = _windows(extent, bins, labels.device)
    labels = labels.index_select(dim, positions.flatten()).unflatten(dim, positions.shape)
    return torch.where(inside.view(inside.shape + (1,) * (labels.dim() - dim - 2)), labels, outside)


@kept_per_size
def _windows(extent: int, bins: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """List the positions in the windows along a side.

    Returns:
        tuple[Tensor, Tensor]: Positions from the first of each window on, and whether they are in
        it, both (bins, length of the longest).
    """
    edges = torch.arange(bins + 1, device=device) * extent
    begin, end = edges[:-1] // bins, (edges[1:] + bins - 1) // bins
    # A window may share a row with each neighbour.
    positions = begin[:, None] + torch.arange(extent // bins + 2, device=device)
    return positions.clamp(max=extent - 1), positions < end[:, None]
