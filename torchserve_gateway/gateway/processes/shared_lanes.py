"""Slots of a model over all processes of a gateway: same promises as `prediction.lanes`."""

import asyncio
from collections import OrderedDict
from time import monotonic

from torchserve_gateway.gateway.processes.shared_memory import Inboxes
from torchserve_gateway.gateway.processes.slot_table import HELD, WAITING, SlotTable

# Weight of the newest job in the mean.
MEAN_WEIGHT = 0.1
SLOT_FREE = b"s"
"""Message to the process whose request is the next to get a slot."""


class SharedSlot:
    """Permission for one job to be with TorchServe."""

    __slots__ = ("_lane", "_taken")

    def __init__(self, lane: "SharedLane") -> None:
        self._lane = lane
        self._taken = monotonic()

    def give_back(self, _: object = None) -> None:
        """Frees the slot, once; the argument makes it a task's done callback."""
        self._lane.give_back(monotonic() - self._taken)


class SharedLane:
    """One process's part of a model's lane, whose slots all processes share.

    Args:
        slots: Counts of all processes.
        inboxes: Wakes the process whose turn it is.
        process: Number of this process.
        model: Name of the lane.
        limit: Slots of all processes together.
    """

    def __init__(self, slots: SlotTable, inboxes: Inboxes, process: int, model: str, limit: int) -> None:
        self._slots, self._inboxes, self._process = slots, inboxes, process
        self._lane = slots.lane_of(model)
        # In the order of arrival, with the time since when each waits.
        self._waiters: OrderedDict[asyncio.Future[None], int] = OrderedDict()
        self.limit = limit
        """Number of slots."""
        self.mean_s = 0.0
        """Seconds that a job of this process keeps its slot: the moving average."""

    @property
    def in_flight(self) -> int:
        """Jobs of all processes with TorchServe."""
        return self._slots.total(self._lane, HELD)

    @property
    def waiting(self) -> int:
        """Jobs of all processes that wait to be sent."""
        return self._slots.total(self._lane, WAITING)

    @property
    def expected_wait_s(self) -> float:
        """Seconds that another job would wait, if those before it take the mean time."""
        if self.in_flight < self.limit:
            return 0.0
        return (self.waiting + 1) * self.mean_s / self.limit

    def resize(self, limit: int) -> None:
        """Changes the number of slots; jobs in flight stay."""
        if self.limit != limit:
            self.limit = limit
            self.pass_on()

    async def take(self, timeout_s: float) -> SharedSlot:
        """Waits for a slot.

        Raises:
            TimeoutError: no slot within timeout_s.
        """
        since = self._slots.take(self._lane, self._process, self.limit)
        if since:
            await self._wait(since, timeout_s)
        return SharedSlot(self)

    async def _wait(self, since: int, timeout_s: float) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = since
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except BaseException:
            if waiter in self._waiters:
                del self._waiters[waiter]
                self._slots.leave(self._lane, self._process, self._since_of(0))
            else:
                # It got a slot at the moment at which it gave up.
                self._slots.give_back(self._lane, self._process)
            self.pass_on()
            raise

    def give_back(self, kept_s: float) -> None:
        """Frees a slot that a job kept for so many seconds, and gives it to whose turn it is."""
        self.mean_s += MEAN_WEIGHT * (kept_s - self.mean_s)
        if self._slots.give_back(self._lane, self._process):
            self.pass_on()

    def pass_on(self) -> None:
        """Gives free slots to the waiters of this process that are next, then wakes the process that is."""
        while self._waiters and self._slots.take_waiting(
            self._lane, self._process, self.limit, self._since_of(0), self._since_of(1)
        ):
            waiter, _ = self._waiters.popitem(last=False)
            if waiter.done():
                # Cancelled, and not yet run: `_wait` gives the slot back.
                continue
            waiter.set_result(None)
        following = self._slots.next_process(self._lane, self._process, self.limit)
        if following is not None:
            self._inboxes.send(following, SLOT_FREE)

    def _since_of(self, place: int) -> int:
        """Since when the first or the second waiter waits; 0 without."""
        for number, since in enumerate(self._waiters.values()):
            if number == place:
                return since
        return 0
