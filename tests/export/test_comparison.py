import pytest
import torch
from exported_models import FCN, build_segmentor
from tiny_run import sentence
from torch import Tensor

from segheads.export.comparison import TOLERANCE, compare
from segheads.export.deployed_model import DeployedModel

SIZES = ((1, 65, 70), (2, 96, 64))


@pytest.fixture(scope='module')
def model() -> DeployedModel:
    """A model that returns logits."""
    return DeployedModel(build_segmentor())


@pytest.fixture(scope='module')
def mapper() -> DeployedModel:
    """The same model, returning classes."""
    return DeployedModel(build_segmentor(), with_argmax=True)


def test_finds_no_difference_where_there_is_none(model, mapper) -> None:
    for one in (model, mapper):
        differences = list(compare(one, one, SIZES))
        assert [d.size for d in differences] == list(SIZES)
        assert all(d.is_small and d.largest == 0 and d.pixels == 0 for d in differences)


@pytest.mark.parametrize('error, small', [(0.5, True), (2.0, False), (float('nan'), False)])
def test_finds_a_difference_in_one_logit(model, error: float, small: bool) -> None:
    def off(image: Tensor) -> Tensor:
        logits = model(image)
        logits[0, 1, 30, 40] += error * TOLERANCE * max(1, logits.abs().max().item())
        return logits

    assert [d.is_small for d in compare(model, off, SIZES)] == [small] * 2


def test_lets_ties_fall_either_way_and_nothing_else() -> None:
    segmentor = build_segmentor()
    classifier = segmentor.decode_head.conv_seg
    with torch.no_grad():
        classifier.weight[1] = classifier.weight[0]
        classifier.bias[1] = classifier.bias[0] = 0.1
    mapper = DeployedModel(segmentor, with_argmax=True)

    def other_of_the_twins(image: Tensor) -> Tensor:
        classes = mapper(image)
        return torch.where(classes < 2, 1 - classes, classes)

    def second_best(image: Tensor) -> Tensor:
        return mapper.logits(image).topk(3, dim=1).indices[:, 2]

    for difference in compare(mapper, other_of_the_twins, SIZES):
        assert difference.is_small and difference.pixels > 0
    for difference in compare(mapper, second_best, SIZES):
        assert not difference.is_small


def test_thresholds_are_ties_too() -> None:
    head = dict(FCN, num_classes=2, out_channels=1, threshold=0.4)
    model = DeployedModel(build_segmentor(head), with_argmax=True)
    (same,) = compare(model, model, SIZES[:1])
    (inverse,) = compare(model, lambda image: 1 - model(image), SIZES[:1])
    assert same.is_small and same.pixels == 0
    assert not inverse.is_small and inverse.pixels == 65 * 70


def test_refuses_what_does_not_run(model) -> None:
    def broken(image: Tensor) -> Tensor:
        raise RuntimeError('cannot\nreally')

    text = sentence(lambda: list(compare(model, broken, SIZES)))
    assert text == 'the exported file fails on 1 images of 65x70: cannot'
    text = sentence(lambda: list(compare(model, lambda image: model(image)[..., 1:], SIZES)))
    assert 'gives (1, 5, 65, 69) for 1 images of 65x70, but must give (1, 5, 65, 70)' in text
