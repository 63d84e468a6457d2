"""The region classification loss: its targets, its value, and what it does at the edges."""

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


def build(**arguments: object) -> nn.Module:
    return MODELS.build(dict(type='RegionClassificationLoss', **arguments))


def random_labels(shape: tuple[int, int, int], num_classes: int, ignored: float = 0.2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, num_classes, shape, generator=generator)
    # Skewed, so that some classes are rare enough to be left out of some regions.
    labels = labels * torch.randint(0, 2, shape, generator=generator) // 2
    labels[torch.rand(shape, generator=generator) < ignored] = 255
    return labels


def released_targets(labels: Tensor, num_classes: int, bins: tuple[int, int]) -> Tensor:
    """Targets as the release defines them: pooled planes, one per class; 255 is not judged."""
    planes = torch.stack([labels == index for index in range(num_classes)], 1).double()
    share = F.adaptive_avg_pool2d(planes, bins)
    targets = torch.where((share > 0) & (share < 0.01 - 1e-12), 255, (share > 0).long())
    return targets


@pytest.mark.parametrize('bins', [(4, 4), (2, 4), (3, 5), (1, 1)])
@pytest.mark.parametrize('size', [(64, 64), (130, 127), (50, 33)])
def test_targets_are_those_of_pooled_planes(size: tuple, bins: tuple) -> None:
    labels = random_labels((2, *size), 60)
    labels[0, : size[0] // 2, : size[1] // 2] = 255  # regions without any label
    present, judged = build().targets(labels, 60, bins)
    targets = torch.where(judged, present.long(), 255)
    assert torch.equal(targets, released_targets(labels, 60, bins))
    assert set(targets.unique().tolist()) == {0, 1, 255}


@pytest.mark.parametrize('side', [10, 20, 30, 40, 50, 70, 90, 100, 130, 170])
def test_exactly_one_percent_is_present(side: int) -> None:
    labels = torch.zeros(1, side, side, dtype=torch.long)
    labels.view(-1)[: side * side // 100] = 1
    labels.view(-1)[-(side * side // 100 - 1) or side * side :] = 2
    present, judged = build().targets(labels, 4, (1, 1))
    assert present.flatten().tolist() == [True, True, False, False]
    assert judged.flatten().tolist() == [True, True, side == 10, True]


def test_value_is_that_of_the_release() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = random_labels((2, 64, 64), 60)
    logits = 3 * torch.randn(2, 60, 4, 4, generator=generator, dtype=torch.float64)
    targets = released_targets(labels, 60, (4, 4))
    probability = logits.sigmoid()
    per_class = []
    for index in range(60):
        judged = targets[:, index] != 255
        target = targets[:, index][judged].double()
        score = probability[:, index][judged]
        of_target = torch.where(target == 1, score, 1 - score)
        entropy = F.binary_cross_entropy(score, target, reduction='none')
        per_class.append(((1 - of_target) ** 2 * entropy).mean())
    expected = torch.stack(per_class).mean()
    torch.testing.assert_close(build()(logits, labels), expected)
    torch.testing.assert_close(build(loss_weight=0.5)(logits, labels), 0.5 * expected)


def test_gamma_zero_is_cross_entropy() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    logits = torch.tensor([1.0, -2.0]).view(1, 2, 1, 1)
    expected = F.binary_cross_entropy_with_logits(logits.flatten(), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(build(gamma=0)(logits, labels), expected)


@pytest.mark.parametrize('logit', [20.0, 40.0, 200.0])
def test_confidently_wrong_scores_recover(logit: float) -> None:
    """Class 0 is present and class 1 absent; the release has no gradient here."""
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    logits = torch.tensor([-logit, logit]).view(1, 2, 1, 1).requires_grad_()
    loss = build()(logits, labels)
    assert loss.item() == pytest.approx(logit, rel=1e-6)
    loss.backward()
    assert logits.grad.flatten().tolist() == pytest.approx([-0.5, 0.5], rel=1e-6)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_is_computed_in_full_precision(dtype: torch.dtype) -> None:
    labels = random_labels((1, 16, 16), 5)
    logits = torch.linspace(-15, 15, 20).view(1, 5, 2, 2).to(dtype)
    with torch.autocast('cpu', torch.bfloat16):
        loss = build()(logits, labels)
    assert torch.equal(loss, build()(logits.float(), labels))


def test_classes_are_absent_where_nothing_is_labelled() -> None:
    labels = torch.full((2, 16, 16), 255)
    labels[0, :8, :8] = 1
    logits = torch.zeros(2, 3, 2, 2)
    present, judged = build().targets(labels, 3, (2, 2))
    assert present.sum() == 1
    assert judged.all()
    _, judged = build(ignore_empty_regions=True).targets(labels, 3, (2, 2))
    assert judged.sum() == 3
    nothing = torch.full((2, 16, 16), 255)
    assert build()(logits, nothing).item() == pytest.approx(0.25 * torch.tensor(2.0).log().item())
    assert build(ignore_empty_regions=True)(logits, nothing) == 0


def test_a_class_that_is_nowhere_judged_adds_nothing() -> None:
    labels = torch.zeros(1, 20, 20, dtype=torch.long)
    labels[0, 0, 0] = 1  # a quarter of a percent of the only region
    logits = torch.zeros(1, 2, 1, 1, requires_grad=True)
    loss = build()(logits, labels)
    assert loss.item() == pytest.approx(0.25 * torch.tensor(2.0).log().item() / 2)
    loss.backward()
    assert logits.grad[0, 1] == 0
    assert torch.isfinite(logits.grad).all()


def test_what_is_no_class_is_not_labelled() -> None:
    labels = torch.tensor([0, 1, 2, 255, -1, 7]).repeat(6, 1)[None]
    for ignore_index, classes in ((255, [True, True, True]), (0, [False, True, True])):
        present, _ = build().targets(labels, 3, (1, 1), ignore_index)
        assert present.flatten().tolist() == classes


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(gamma=-1), 'gamma must not be negative, but is -1'),
        (dict(min_share=1.5), 'min_share must be from 0 to 1, but is 1.5'),
    ],
)
def test_explains_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)
