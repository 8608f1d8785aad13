"""The parts that processes of one gateway share, and a process's own view of them."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import monotonic

from torchserve_gateway.gateway.deployed.following import repeated
from torchserve_gateway.gateway.processes.accepting import ConnectionCounts
from torchserve_gateway.gateway.processes.metric_snapshots import PUBLISH, MetricSnapshots
from torchserve_gateway.gateway.processes.rate_table import RateTable
from torchserve_gateway.gateway.processes.shared_lanes import SLOT_FREE, SharedLane
from torchserve_gateway.gateway.processes.shared_memory import Inboxes, Mutex, integers
from torchserve_gateway.gateway.processes.slot_table import SlotTable

# Seconds of counts that a process may take with it when it is killed.
PUBLISHED_EVERY_S = 1.0


class Shared:
    """Shared by all processes; the parent makes it before it forks the first.

    Attributes:
        processes: Number of processes.
        connections: Open connections of each process.
        slots: Admission's.
        rates: Counters of rate limits.
        metrics: Each process's newest metrics.
        live: Each process's newest counters, for the live view.
        log: Held while log lines are written.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.connections = ConnectionCounts(processes)
        self.log = Mutex()
        self._counting = Mutex()
        self._snapshots = Mutex()
        self.inboxes = Inboxes(processes)
        self.slots = SlotTable(processes, self._counting)
        self.rates = RateTable(self._counting)
        self._started = integers(processes)
        self._seen = integers(processes)
        self.metrics, self.live = (
            MetricSnapshots(processes, self._snapshots, self.inboxes, self.has_started) for _ in range(2)
        )

    def forked(self) -> None:
        """Makes the locks a new process's own."""
        for mutex in (self.log, self._counting, self._snapshots):
            mutex.reopen()

    def has_started(self, process: int) -> bool:
        """Whether the process accepts connections, or has accepted any."""
        return bool(self._started[process])

    def started(self, process: int) -> None:
        """Notes that the process accepts connections."""
        self.runs(process)
        self._started[process] = 1

    def runs(self, process: int) -> None:
        """Notes that the process's event loop runs."""
        self._seen[process] = int(monotonic())

    def silent_s(self, process: int) -> float:
        """Seconds since its event loop was last seen to run, for a process that has started."""
        return monotonic() - self._seen[process]

    def ended(self, process: int) -> None:
        """Forgets a process that has ended, however it ended; its metrics stay."""
        self._started[process] = 0
        self.connections.stops(process)
        self.slots.clear(process)
        # Its slots are free, and each waiter may be the next.
        for each in range(self.processes):
            self.inboxes.send(each, SLOT_FREE)


@dataclass(frozen=True)
class Sibling:
    """One process of a gateway of several."""

    shared: Shared
    """The parts that all have."""
    number: int
    """Counts from 0; a process that replaces another takes its number."""
    parent_lives: int
    """Descriptor that becomes readable when the parent has ended."""
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Identifies its reports; no other process, earlier or later, has it."""
    _lanes: list[SharedLane] = field(default_factory=list)

    def lane(self, model: str, limit: int) -> SharedLane:
        """A new lane of a model, with so many slots for all processes."""
        lane = SharedLane(self.shared.slots, self.shared.inboxes, self.number, model, limit)
        self._lanes.append(lane)
        return lane

    def tell_started(self) -> None:
        """Tells the parent that this process accepts connections."""
        self.shared.started(self.number)

    @contextlib.asynccontextmanager
    async def listening(self, publish: Callable[[], object]) -> AsyncIterator[None]:
        """Heeds the messages of the other processes.

        Args:
            publish: Publishes this process's metrics.
        """
        loop, inboxes = asyncio.get_running_loop(), self.shared.inboxes

        def heed() -> None:
            messages = inboxes.receive(self.number)
            if SLOT_FREE in messages:
                for lane in self._lanes:
                    lane.pass_on()
            if PUBLISH in messages:
                publish()

        async def publish_again() -> None:
            self.shared.runs(self.number)
            publish()

        loop.add_reader(inboxes.fileno(self.number), heed)
        try:
            async with repeated(publish_again, PUBLISHED_EVERY_S):
                yield
        finally:
            loop.remove_reader(inboxes.fileno(self.number))
            publish()
