"""Labels that are no class are told of at once on a CPU, and as soon as is known on a GPU."""

import pytest
import torch

from segheads.losses.label_check import LabelCheck

WRONG = r'A label is 7, but the head has 5 classes \(0 to 4\) and ignores 255'


class Device:
    """A GPU, which answers when it has come so far."""

    def __init__(self) -> None:
        self.has_arrived = False
        self.waited = 0

    def arrived(self) -> bool:
        return self.has_arrived

    def wait(self) -> None:
        self.waited += 1


@pytest.mark.parametrize(
    ('labels', 'ignore_index', 'expected'),
    [
        ([0, 4, 255], 255, [True, True, False]),
        ([0, 4, 3], 4, [True, False, True]),
        ([0, 4, -1], -1, [True, True, False]),
        ([0, 4, 3], None, [True, True, True]),
    ],
)
def test_finds_the_pixels_that_have_a_class(
    labels: list[int], ignore_index: int | None, expected: list[bool]
) -> None:
    found = LabelCheck().find_labelled(torch.tensor([[labels]]), 5, ignore_index)
    assert found.tolist() == [[expected]]


@pytest.mark.parametrize(
    ('label', 'ignore_index'), [(7, 255), (5, 255), (-1, 255), (255, None), (-100, 255)]
)
def test_a_wrong_label_on_a_cpu_is_told_at_once(label: int, ignore_index: int | None) -> None:
    labels = torch.tensor([[[0, 4, label]]])
    with pytest.raises(ValueError, match=f'A label is {label}, .* ignores {ignore_index}'):
        LabelCheck().find_labelled(labels, 5, ignore_index)


def test_what_a_gpu_answers_is_read_once_it_is_there() -> None:
    check, device = LabelCheck(), Device()
    check.expect(torch.tensor([0, 7]), device.arrived, device.wait, 5, 255)
    right = torch.zeros(1, 1, 1)
    check.find_labelled(right, 5, 255)  # nothing is known yet
    device.has_arrived = True
    with pytest.raises(ValueError, match=WRONG):
        check.find_labelled(right, 5, 255)
    assert not device.waited
    check.find_labelled(right, 5, 255)


def test_answers_are_read_in_the_order_of_the_batches() -> None:
    check, early, late = LabelCheck(), Device(), Device()
    check.expect(torch.tensor([0, 0]), early.arrived, early.wait, 5, 255)
    check.expect(torch.tensor([0, 7]), late.arrived, late.wait, 5, 255)
    late.has_arrived = True
    check.raise_arrived()
    early.has_arrived = True
    with pytest.raises(ValueError, match=WRONG):
        check.raise_arrived()


def test_waits_for_answers_where_a_run_ends() -> None:
    check, device = LabelCheck(), Device()
    check.expect(torch.tensor([0, 0]), device.arrived, device.wait, 5, 255)
    check.expect(torch.tensor([0, 7]), device.arrived, device.wait, 5, 255)
    with pytest.raises(ValueError, match=WRONG):
        check.settle()
    assert device.waited == 2
    check.settle()


def test_forgets_answers() -> None:
    check, device = LabelCheck(), Device()
    check.expect(torch.tensor([0, 7]), device.arrived, device.wait, 5, 255)
    check.forget()
    check.settle()
