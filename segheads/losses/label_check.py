"""Labels that are no class, found without waiting for the device that holds them."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class _Answer(NamedTuple):
    """What a device will have said about the labels of a batch once it has come so far.

    Attributes:
        wrong (Tensor): The smallest and the largest wrong label, 0 for none, in the memory of the
            host; valid when ``arrived``.
        arrived (Callable): Tells whether it is, without waiting.
        wait (Callable): Waits until it is.
        num_classes (int): Number of classes of the head.
        ignore_index (int, optional): Label of pixels without a class.
    """

    wrong: Tensor
    arrived: Callable[[], bool]
    wait: Callable[[], object]
    num_classes: int
    ignore_index: int | None


class LabelCheck:
    """Finds labels that are neither a class nor ignored.

    On a CPU they are found at once. On a GPU the answer is fetched while the host goes on, and
    read with one of the next batches: until then the pixels count as not labelled.
    """

    def __init__(self) -> None:
        self._answers: deque[_Answer] = deque()

    def find_labelled(self, labels: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
        """Find the pixels that have a class.

        Args:
            labels (Tensor): Class of each pixel (B, H, W).
            num_classes (int): Number of classes.
            ignore_index (int, optional): Label of pixels without a class.

        Returns:
            Tensor: Whether a pixel has a class, (B, H, W).

        Raises:
            ValueError: If a label is wrong, of this batch on a CPU, or of an earlier one on a GPU.
        """
        self.raise_arrived()
        is_class = (labels >= 0) & (labels < num_classes)
        if ignore_index is None:
            labelled, wrong = is_class, ~is_class
        else:
            counts = labels != ignore_index
            labelled, wrong = is_class & counts, ~is_class & counts
        if labels.device.type != 'cuda':
            if wrong.any():
                _raise(_extremes(labels, wrong), num_classes, ignore_index)
        elif torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
            # A graph that is replayed asks nobody; it can stop, in the device's own words.
            torch._assert_async(~wrong.any(), 'A label is neither a class of the head nor ignored.')
        else:
            host = _extremes(labels, wrong).to('cpu', non_blocking=True)
            event = torch.cuda.Event()
            event.record(torch.cuda.current_stream(labels.device))
            self.expect(host, event.query, event.synchronize, num_classes, ignore_index)
        return labelled

    def expect(
        self,
        wrong: Tensor,
        arrived: Callable[[], bool],
        wait: Callable[[], object],
        num_classes: int,
        ignore_index: int | None,
    ) -> None:
        """Remember an answer that is on its way."""
        self._answers.append(_Answer(wrong, arrived, wait, num_classes, ignore_index))

    def raise_arrived(self) -> None:
        """Raise for wrong labels of which the answer has arrived; nothing waits.

        Raises:
            ValueError: If there are any.
        """
        while self._answers and self._answers[0].arrived():
            self._read()

    def settle(self) -> None:
        """Wait for all answers, and raise for wrong labels.

        Raises:
            ValueError: If there are any.
        """
        while self._answers:
            self._answers[0].wait()
            self._read()

    def forget(self) -> None:
        """Forget the answers that are on their way."""
        self._answers.clear()

    def _read(self) -> None:
        answer = self._answers.popleft()
        if answer.wrong.any():
            self.forget()
            _raise(answer.wrong, answer.num_classes, answer.ignore_index)


def _extremes(labels: Tensor, wrong: Tensor) -> Tensor:
    # 0 is a class of every head, and so stands for what is right.
    return torch.stack(torch.where(wrong, labels, 0).aminmax())


def _raise(wrong: Tensor, num_classes: int, ignore_index: int | None) -> None:
    smallest, largest = wrong.tolist()
    raise ValueError(
        f'A label is {largest or smallest}, but the head has {num_classes} classes (0 to '
        f'{num_classes - 1}) and ignores {ignore_index}: correct num_classes of the head, or '
        'the labels (reduce_zero_label shifts them by one).'
    )


# One for all losses of a process: the device answers in the order in which it was asked.
label_check = LabelCheck()


@torch.library.custom_op(
    'segheads::labelled_pixels',
    mutates_args=(),
    schema='(Tensor labels, int num_classes, int? ignore_index) -> Tensor',
)
def find_labelled(labels: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    """Call :meth:`LabelCheck.find_labelled`; one operator to a compiler."""
    return label_check.find_labelled(labels, num_classes, ignore_index)


@find_labelled.register_fake
def _(labels: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    return torch.empty_like(labels, dtype=torch.bool)
