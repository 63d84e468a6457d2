"""Cross entropy of hard pixels. (The released values are tested with the head's golden cases.)"""

import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F


def build(**arguments: object) -> nn.Module:
    return MODELS.build(dict(type='OHEMCrossEntropyLoss', **arguments))


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 4, 12, 12, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 4, (2, 12, 12), generator=generator)
    labels[:, 0] = 255
    return logits, labels


@pytest.mark.parametrize(
    ('thresh', 'min_kept'), [(0.7, 0), (0.3, 0), (0.3, 50), (0.05, 10), (0.7, 100000), (1.0, 5)]
)
def test_averages_what_lies_below_the_threshold(thresh: float, min_kept: int) -> None:
    logits, labels = batch()
    labelled = labels != 255
    probability = logits.softmax(1).gather(1, labels.where(labelled, 0)[:, None])[:, 0][labelled]
    ordered = probability.sort().values
    threshold = max(ordered[min(min_kept * 2, len(ordered) - 1)].item(), thresh)
    hard = probability[probability < threshold]
    assert 0 < len(hard) < len(probability) or thresh == 1.0 or min_kept == 100000
    loss = build(thresh=thresh, min_kept=min_kept)(logits, labels)
    torch.testing.assert_close(loss, -hard.log().mean(), rtol=1e-6, atol=0)


def test_keeps_all_where_none_is_hard() -> None:
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    labels[0, 0] = 255
    # All have one probability, so none is below that of the last.
    logits = torch.tensor([3.0, 0.0]).view(1, 2, 1, 1).expand(2, 2, 4, 4)
    plain = F.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(build()(logits, labels), plain)
    only_one = torch.full((2, 4, 4), 255)
    only_one[1, 2, 3] = 0
    torch.testing.assert_close(build()(logits, only_one), plain)


def test_is_zero_where_nothing_is_labelled() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = build()(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0
    assert (logits.grad == 0).all()


def test_easy_pixels_have_no_gradient() -> None:
    logits, labels = batch()
    logits.requires_grad_()
    build(min_kept=0)(logits, labels).backward()
    probability = logits.softmax(1).gather(1, labels.where(labels != 255, 0)[:, None])[:, 0]
    hard = (labels != 255) & (probability < 0.7)
    assert torch.equal(logits.grad.abs().sum(1) > 0, hard)


def test_is_computed_in_full_precision() -> None:
    logits, labels = batch()
    logits = logits.bfloat16()
    assert torch.equal(build()(logits, labels), build()(logits.float(), labels))


def test_weight_and_name() -> None:
    logits, labels = batch()
    weighted = build(loss_weight=0.4, loss_name='loss_hard')
    assert weighted.loss_name == 'loss_hard'
    torch.testing.assert_close(weighted(logits, labels), 0.4 * build()(logits, labels))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(thresh=0), 'thresh must be above 0 and at most 1, but is 0'),
        (dict(thresh=1.5), 'thresh must be above 0 and at most 1, but is 1.5'),
        (dict(min_kept=-1), 'min_kept must not be negative, but is -1'),
    ],
)
def test_explains_bad_arguments(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)


def test_explains_a_sampler() -> None:
    logits, labels = batch()
    with pytest.raises(ValueError, match='remove the sampler of the head'):
        build()(logits, labels, weight=torch.ones(2, 12, 12))
