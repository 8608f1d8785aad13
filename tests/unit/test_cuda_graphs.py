"""Recorded batches: every request gets the answer that it gets without them."""

from collections.abc import Callable

import pytest
import torch

from tests.needs_gpu import needs_gpu
from ts_serialize.cuda_graphs import FixedBatches, Recording, batch_sizes, with_cuda_graphs

WIDTH = 5


class Doubling(torch.nn.Module):
    """Knows the sizes of the batches that it computed."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(batch))
        return batch * 2


def recorded_on_the_cpu(network: torch.nn.Module, size: int) -> Recording:
    """Memory of a fixed size, as a graph has, filled by the network itself."""
    given = torch.zeros(size, WIDTH)
    computed = network(given)

    def compute() -> None:
        computed.copy_(network(given))

    return given, compute, computed


@pytest.mark.parametrize(
    ("largest", "sizes"), [(1, [1]), (2, [1, 2]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12]), (3, [1, 2, 3])]
)
def test_recorded_sizes_are_powers_of_two_and_the_largest_batch(largest: int, sizes: list[int]) -> None:
    assert batch_sizes(largest) == sizes


def test_a_batch_is_computed_in_the_next_recorded_size_and_a_larger_one_as_it_is() -> None:
    network = Doubling()
    fixed = FixedBatches(network, [1, 2, 4], recorded_on_the_cpu)
    assert network.sizes == [4, 2, 1]
    network.sizes.clear()
    for rows in range(1, 7):
        batch = torch.randn(rows, WIDTH)
        assert fixed(batch).equal(batch * 2)
    assert network.sizes == [1, 2, 4, 4, 5, 6]


def test_an_answer_is_not_overwritten_by_the_next_batch() -> None:
    fixed = FixedBatches(Doubling(), [4], recorded_on_the_cpu)
    first, batch = torch.randn(3, WIDTH), torch.randn(4, WIDTH)
    answer = fixed(first)
    fixed(batch)
    assert answer.equal(first * 2)


@needs_gpu
@pytest.mark.parametrize("make", [lambda network: network, torch.jit.script], ids=["eager", "torchscript"])
def test_on_a_gpu_recorded_batches_answer_as_the_network(
    make: Callable[[torch.nn.Module], torch.nn.Module],
) -> None:
    device = torch.device("cuda:0")
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
    made = make(network.to(device).eval())
    with torch.inference_mode():
        fixed = with_cuda_graphs(made, torch.zeros(3, 16, 16, device=device), 8)
        for rows in (1, 3, 8, 2, 9):
            batch = torch.randn(rows, 3, 16, 16, device=device)
            torch.testing.assert_close(fixed(batch), made(batch), rtol=1e-3, atol=1e-4)


@needs_gpu
def test_on_a_gpu_a_network_that_waits_for_a_result_is_refused() -> None:
    class Waiting(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch * batch.sum().item()

    with pytest.raises(ValueError, match="cuda_graphs = true, and CUDA cannot record this network"):
        with_cuda_graphs(Waiting(), torch.zeros(WIDTH, device="cuda:0"), 2)
