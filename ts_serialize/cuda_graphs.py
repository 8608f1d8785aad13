"""CUDA graphs: the GPU repeats the recorded work of a batch without a call from Python for each operation.

Part of the model archive: imports only torch. Source: `torch.cuda.CUDAGraph` of PyTorch's documentation.
"""

from collections.abc import Callable, Sequence

import torch

# TorchScript compiles in the first two runs of a shape, and libraries choose their algorithms.
WARM_UPS = 3

Recording = tuple[torch.Tensor, Callable[[], object], torch.Tensor]
"""Memory of the input, a function that computes, and memory of the output."""


class FixedBatches(torch.nn.Module):
    """A network that computes batches of recorded sizes alone, and pads others to the next size."""

    def __init__(
        self,
        network: torch.nn.Module,
        sizes: Sequence[int],
        record: Callable[[torch.nn.Module, int], Recording],
    ) -> None:
        """Records the network.

        Args:
            network: for batches of any size; computes each row by itself.
            sizes: batch sizes to record.
            record: records the network for a batch size.
        """
        super().__init__()
        self._network = network
        # The largest first: the memory that it takes is enough for all others.
        self._recordings = {size: record(network, size) for size in sorted(sizes, reverse=True)}

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Returns the network's output; a batch above the largest size is computed without a recording."""
        rows = len(batch)
        size = min((each for each in self._recordings if each >= rows), default=None)
        if size is None:
            outputs: torch.Tensor = self._network(batch)
            return outputs
        given, compute, computed = self._recordings[size]
        given[:rows].copy_(batch)
        compute()
        # The next batch overwrites it.
        return computed[:rows].clone()


def batch_sizes(largest: int) -> list[int]:
    """Powers of two below the largest batch, and the largest: at most half of a batch is padding."""
    return sorted({min(2**exponent, largest) for exponent in range(largest.bit_length() + 1)})


def with_cuda_graphs(network: torch.nn.Module, example: torch.Tensor, batch_size: int) -> FixedBatches:
    """Records a network for batches of up to `batch_size`.

    Args:
        network: on the GPU of the example.
        example: an input of the network without the batch dimension, on a GPU.
        batch_size: the largest batch.

    Raises:
        ValueError: CUDA cannot record it, for instance because it waits for a result within.
    """
    device, pool = example.device, torch.cuda.graph_pool_handle()

    def record(network: torch.nn.Module, size: int) -> Recording:
        given, graph = torch.stack([example] * size), torch.cuda.CUDAGraph()
        # As PyTorch's documentation asks: outside the stream that records.
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                network(given)
        torch.cuda.current_stream(device).wait_stream(stream)
        with torch.cuda.graph(graph, pool=pool):
            computed = network(given)
        return given, graph.replay, computed

    try:
        # A tensor that is made in inference mode could not be overwritten outside of it.
        with torch.cuda.device(device), torch.no_grad():
            return FixedBatches(network, batch_sizes(batch_size), record)
    except RuntimeError as exc:
        raise ValueError(f"cuda_graphs = true, and CUDA cannot record this network: {exc}") from exc
