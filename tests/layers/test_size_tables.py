"""Tables are kept per size and device, not for ever, and only where they have values."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from segheads.layers.size_tables import KEPT_TABLES, kept_per_size

CPU = torch.device('cpu')


@kept_per_size
def table(extent: int, device: torch.device) -> torch.Tensor:
    return torch.arange(extent, device=device)


def test_is_made_once_for_a_size() -> None:
    assert table(3, CPU) is table(3, CPU)
    assert table(4, CPU).tolist() == [0, 1, 2, 3]


def test_the_number_of_tables_is_bounded() -> None:
    for extent in range(2 * KEPT_TABLES):
        table(extent, CPU)
    assert table.cache_info().currsize == KEPT_TABLES


def test_a_table_from_inference_serves_training() -> None:
    table.cache_clear()
    with torch.inference_mode():
        made = table(5, CPU)
    assert not made.is_inference()
    weight = torch.ones(5, requires_grad=True)
    (weight * table(5, CPU)).sum().backward()
    assert weight.grad.tolist() == [0, 1, 2, 3, 4]


def test_tensors_without_values_are_neither_kept_nor_mixed_with_others() -> None:
    table.cache_clear()
    table(6, CPU)
    with FakeTensorMode():
        assert type(table(6, CPU)).__name__ == 'FakeTensor'
        assert type(table(7, CPU)).__name__ == 'FakeTensor'
    assert table(7, CPU).tolist() == list(range(7))


def test_a_compiled_function_makes_its_own() -> None:
    torch.compiler.reset()
    table.cache_clear()
    compiled = torch.compile(
        lambda x: x + table(x.shape[0], x.device), fullgraph=True, dynamic=True, backend='eager'
    )
    for extent in (8, 9, 10):
        assert compiled(torch.zeros(extent)).tolist() == list(range(extent))
    assert not table.cache_info().currsize


def test_a_traced_function_makes_its_own() -> None:
    table.cache_clear()
    traced = torch.jit.trace(
        lambda x: x + table(x.shape[0], x.device), torch.zeros(4), check_trace=False
    )
    assert traced(torch.zeros(4)).tolist() == list(range(4))
    assert not table.cache_info().currsize
