"""Measures a model on every engine and precision of this machine, one beside the other."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import process_time

import torch

from ts_serialize.archive_parts import ModelParts
from ts_serialize.checkpoint import original_network
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.gate import Comparison, compared
from ts_serialize.conversion.network_files import converted
from ts_serialize.engine_choice import FP32, TORCH_EXPORT, TORCHSCRIPT, keeps_checkpoint
from ts_serialize.network_input import Expectation, images
from ts_serialize.optimized_torchscript import optimized
from ts_serialize.torchscript import load_torchscript

logger = logging.getLogger(__name__)

# CPU seconds that a turn measures at least.
TURN_S = 0.05


@dataclass(frozen=True)
class Candidate:
    """A network on an engine."""

    model: ModelParts
    """Settings with this engine and precision."""
    network: torch.nn.Module
    """Runs batches of any size."""
    load_s: float
    """CPU seconds from the files to the second answers to each batch size."""
    megabytes: float
    """Size of the network's files."""
    comparison: Comparison
    """Answers beside the original's."""
    turns_ms: dict[int, list[float]] = field(default_factory=dict)
    """CPU milliseconds an image by batch size, a value a turn."""

    @property
    def name(self) -> str:
        """Engine and precision."""
        return f"{self.model.engine} {self.model.precision}"

    @property
    def is_default(self) -> bool:
        """Whether it is the checkpoint in fp32, with which the others are compared."""
        return self.model.engine in (TORCHSCRIPT, TORCH_EXPORT) and self.model.precision == FP32

    @property
    def problems(self) -> list[str]:
        """Results outside `model.parity`; none for the checkpoint in fp32."""
        return [] if self.is_default else list(self.comparison.problems(self.model.parity))

    def cpu_ms(self, batch_size: int) -> float:
        """Median CPU milliseconds an image in batches of this size."""
        return median(self.turns_ms[batch_size])


def candidates(
    choices: Sequence[ModelParts], expected: Expectation, batch_sizes: Sequence[int], turns: int
) -> tuple[list[Candidate], list[str]]:
    """Converts a model to each engine and precision, then lets the networks take turns on one thread.

    Args:
        choices: the same model with several engines and precisions.
        expected: requirements of the handler.
        batch_sizes: in images.
        turns: measurements of each network at each batch size.

    Returns:
        the measured candidates, and a line for each choice that this machine cannot run.
    """
    found, refused = [], []
    batches = {size: torch.randn(size, *expected.input_shape) for size in batch_sizes}
    with _one_thread():
        for model in choices:
            logger.info("preparing %s %s", model.engine, model.precision)
            try:
                found.append(_candidate(model, expected, list(batches.values())))
            except ConversionError as exc:
                refused.append(f"{model.engine} {model.precision}: {exc}")
        logger.info("measuring %d networks in %d turns", len(found), turns)
        return list(_measured(found, batches, turns)), refused


@contextmanager
def _one_thread() -> Iterator[None]:
    # As a worker has; several threads wait for each other where the cores are busy.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _candidate(model: ModelParts, expected: Expectation, batches: Sequence[torch.Tensor]) -> Candidate:
    original = original_network(model.checkpoint.path, model.engine).eval()
    with tempfile.TemporaryDirectory(prefix="engine-") as directory:
        folder, load = Path(directory), _loading(model, original, expected, Path(directory))
        files = list(folder.iterdir()) or [model.checkpoint.path]
        start = process_time()
        network = load()
        with torch.inference_mode():
            # TorchScript compiles in the first two runs of a shape.
            for batch in (*batches, *batches):
                network(batch)
        load_s = process_time() - start
        megabytes = sum(file.stat().st_size for file in files) / 1e6
        return Candidate(model, network, load_s, megabytes, compared(original, network, model))


def _loading(
    model: ModelParts, original: torch.nn.Module, expected: Expectation, folder: Path
) -> Callable[[], torch.nn.Module]:
    """Prepares the files and returns a function that loads them as a worker does."""
    if keeps_checkpoint(model.engine, model.precision):
        example = images(expected)[0]
        return lambda: optimized(load_torchscript(model.checkpoint.path), example)
    network = type(converted(model, original, expected, folder))
    return lambda: network(folder)


def _measured(
    found: Sequence[Candidate], batches: dict[int, torch.Tensor], turns: int
) -> Iterator[Candidate]:
    measured = [replace(each, turns_ms={size: [] for size in batches}) for each in found]
    with torch.inference_mode():
        for _ in range(turns):
            for each in measured:
                for size, batch in batches.items():
                    each.turns_ms[size].append(_turn_s(each.network, batch) / size * 1000)
    yield from measured


def _turn_s(network: torch.nn.Module, batch: torch.Tensor) -> float:
    """CPU seconds of a call, averaged over a turn; the first call brings the network into the caches."""
    network(batch)
    start, calls, passed = process_time(), 0, 0.0
    while passed < TURN_S:
        network(batch)
        calls, passed = calls + 1, process_time() - start
    return passed / calls
