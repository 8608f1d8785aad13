"""Slots of a model, which limit the jobs that are with TorchServe at once."""

import asyncio
import contextlib
from time import monotonic

import anyio

# Weight of the newest job in the mean.
MEAN_WEIGHT = 0.1


class Slot:
    """Permission for one job to be with TorchServe."""

    __slots__ = ("_lane", "_limiter", "_taken")

    def __init__(self, lane: "Lane", limiter: anyio.CapacityLimiter) -> None:
        self._lane = lane
        self._limiter = limiter
        self._taken = 0.0

    async def take(self) -> None:
        """Waits for the slot; a caller that is cancelled meanwhile gives up its place."""
        await self._limiter.acquire_on_behalf_of(self)
        self._taken = monotonic()

    def take_nowait(self) -> None:
        """Takes the slot.

        Raises:
            anyio.WouldBlock: none is free, or others wait.
        """
        self._limiter.acquire_on_behalf_of_nowait(self)
        self._taken = monotonic()

    def give_back(self, _: object = None) -> None:
        """Frees the slot, once; the argument makes it a task's done callback."""
        self._limiter.release_on_behalf_of(self)
        self._lane.observe(monotonic() - self._taken)


class Lane:
    """Slots of one model, given in the order of arrival."""

    __slots__ = ("_limiter", "mean_s")

    def __init__(self, limit: int) -> None:
        self._limiter = anyio.CapacityLimiter(limit)
        self.mean_s = 0.0
        """Seconds that a job keeps its slot: the moving average."""

    @property
    def limit(self) -> int:
        """Number of slots."""
        return int(self._limiter.total_tokens)

    @property
    def in_flight(self) -> int:
        """Jobs with TorchServe."""
        return self._limiter.borrowed_tokens

    @property
    def waiting(self) -> int:
        """Jobs that wait to be sent."""
        return self._limiter.statistics().tasks_waiting

    @property
    def expected_wait_s(self) -> float:
        """Seconds that another job would wait, if those before it take the mean time."""
        if self._limiter.available_tokens > 0:
            return 0.0
        return (self.waiting + 1) * self.mean_s / self._limiter.total_tokens

    def resize(self, limit: int) -> None:
        """Changes the number of slots; jobs in flight stay."""
        if self._limiter.total_tokens != limit:
            self._limiter.total_tokens = limit

    async def take(self, timeout_s: float) -> Slot:
        """Waits for a slot.

        Raises:
            TimeoutError: no slot within timeout_s.
        """
        slot = Slot(self, self._limiter)
        with contextlib.suppress(anyio.WouldBlock):
            slot.take_nowait()
            return slot
        async with asyncio.timeout(timeout_s):
            await slot.take()
        return slot

    def observe(self, kept_s: float) -> None:
        """Takes the seconds that a job kept its slot into the mean."""
        self.mean_s += MEAN_WEIGHT * (kept_s - self.mean_s)
