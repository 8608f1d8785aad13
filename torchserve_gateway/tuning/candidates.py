"""Combinations of batching, workers and threads."""

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence

from torchserve_gateway.settings.composition import Settings
from torchserve_gateway.settings.tuning import TuneSettings

# The same order in every run, so that a run goes on where another ended.
SEED = 0


class Candidate(Settings):
    """One combination, in TorchServe's names and units."""

    batch_size: int
    """Largest batch, requests."""
    max_batch_delay: int
    """Milliseconds that a batch is collected at most."""
    workers: int
    """Worker processes."""
    threads: int
    """Threads with which each worker computes."""

    def __str__(self) -> str:
        """`batch 8, 20 ms, 2 workers x 1`."""
        workers = f"{self.workers} worker{'s' if self.workers > 1 else ''} x {self.threads}"
        return f"batch {self.batch_size}, {self.max_batch_delay} ms, {workers}"


class Space:
    """All combinations of the given values; a delay is 0 where batches hold a single request."""

    def __init__(
        self, batch_sizes: Iterable[int], delays: Iterable[int], splits: Iterable[tuple[int, int]]
    ) -> None:
        self._batch_sizes = sorted(set(batch_sizes))
        self._delays = sorted(set(delays))
        self._splits = sorted(set(splits))

    def all(self) -> list[Candidate]:
        """Every combination, in an order that is arbitrary and always the same."""
        values = itertools.product(self._batch_sizes, self._delays, self._splits)
        found = list(dict.fromkeys(_candidate(*each) for each in values))
        random.Random(SEED).shuffle(found)  # noqa: S311 - no secret
        return found

    def neighbours(self, of: Candidate) -> Iterator[Candidate]:
        """Combinations one step away in batch size or delay, or with other workers and threads."""
        split = (of.workers, of.threads)
        for size in _beside(self._batch_sizes, of.batch_size):
            yield _candidate(size, of.max_batch_delay, split)
        for other in self._splits:
            if other != split:
                yield _candidate(of.batch_size, of.max_batch_delay, other)
        if of.batch_size > 1:
            for delay in _beside(self._delays, of.max_batch_delay):
                yield _candidate(of.batch_size, delay, split)


def present(settings: TuneSettings, cores: int) -> Candidate:
    """The combination of the model's file."""
    model, environment = settings.model, settings.torchserve.environment
    threads = environment.get("OMP_NUM_THREADS", "")
    return Candidate(
        batch_size=model.batch_size,
        max_batch_delay=model.max_batch_delay,
        workers=model.workers or cores,
        threads=int(threads) if threads.isdecimal() and int(threads) else cores,
    )


def space(settings: TuneSettings, start: Candidate, cores: int) -> Space:
    """The configured values and those of `start`; by default no more threads in all than cores."""
    splits = [
        (workers, threads)
        for workers in settings.workers or {1, max(cores // 2, 1), cores}
        for threads in settings.threads or {1, max(cores // workers, 1)}
        if workers * threads <= cores or settings.workers or settings.threads
    ]
    return Space(
        [*settings.batch_sizes, start.batch_size],
        [*settings.max_batch_delays, start.max_batch_delay],
        [*splits, (start.workers, start.threads)],
    )


def _candidate(batch_size: int, delay: int, split: tuple[int, int]) -> Candidate:
    return Candidate(
        batch_size=batch_size,
        max_batch_delay=delay if batch_size > 1 else 0,
        workers=split[0],
        threads=split[1],
    )


def _beside(values: Sequence[int], value: int) -> list[int]:
    larger, smaller = (each for each in values if each > value), (each for each in values if each < value)
    found = (next(larger, None), max(smaller, default=None))
    return [each for each in found if each is not None]
