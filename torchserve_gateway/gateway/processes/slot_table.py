"""Counts of the admission slots that each process holds and waits for, by lane."""

import hashlib
from time import monotonic_ns

from torchserve_gateway.gateway.processes.shared_memory import Mutex, integers

# Models that get a lane of their own; all later models share the last lane.
MAX_LANES = 256
FIELDS = HELD, WAITING, FIRST_SINCE = range(3)


class SlotTable:
    """Shared by all processes of a gateway; each writes its own counts under the lock.

    A request may take a free slot unless it is needed for an earlier first waiter of a process. So slots are
    given in about the order of arrival, and none stays free while a request waits.
    """

    def __init__(self, processes: int, mutex: Mutex) -> None:
        self._processes = processes
        self._mutex = mutex
        self._names = integers(MAX_LANES)
        self._cells = integers(MAX_LANES * processes * len(FIELDS))

    def lane_of(self, model: str) -> int:
        """The index of a model's lane, the same in every process."""
        name = int.from_bytes(hashlib.blake2b(model.encode(), digest_size=7).digest()) + 1
        with self._mutex:
            for lane, taken in enumerate(self._names):
                if taken == name:
                    return lane
                if not taken:
                    self._names[lane] = name
                    return lane
        return MAX_LANES - 1

    def total(self, lane: int, field: int) -> int:
        """The sum of HELD or WAITING over all processes."""
        first = self._cell(lane, 0, field)
        return sum(self._cells[first : first + self._processes])

    def take(self, lane: int, process: int, limit: int) -> int:
        """Takes a slot for a new request, or counts the request as waiting.

        Returns:
            0 with a slot, else the time in ns at which the request began to wait.
        """
        with self._mutex:
            now = monotonic_ns()
            if self._may_take(lane, limit, now):
                self._add(lane, process, HELD, 1)
                return 0
            self._add(lane, process, WAITING, 1)
            first = self._cell(lane, process, FIRST_SINCE)
            self._cells[first] = self._cells[first] or now
            return now

    def take_waiting(self, lane: int, process: int, limit: int, since: int, next_since: int) -> bool:
        """Takes a slot for the process's first waiter; the next, if any, waits since `next_since`."""
        with self._mutex:
            if not self._may_take(lane, limit, since):
                return False
            self._add(lane, process, HELD, 1)
            self._add(lane, process, WAITING, -1)
            self._cells[self._cell(lane, process, FIRST_SINCE)] = next_since
            return True

    def leave(self, lane: int, process: int, first_since: int) -> None:
        """Counts a waiter that gave up; the first that is left waits since `first_since`, 0 without any."""
        with self._mutex:
            self._add(lane, process, WAITING, -1)
            self._cells[self._cell(lane, process, FIRST_SINCE)] = first_since

    def give_back(self, lane: int, process: int) -> bool:
        """Frees a slot; returns whether a request waits for it."""
        with self._mutex:
            self._add(lane, process, HELD, -1)
            return bool(self._first_waiters(lane))

    def next_process(self, lane: int, process: int, limit: int) -> int | None:
        """The other process whose first waiter came first; None if none waits or no slot is free."""
        with self._mutex:
            if self.total(lane, HELD) >= limit:
                return None
            others = [first for first in self._first_waiters(lane) if first[1] != process]
            return min(others)[1] if others else None

    def clear(self, process: int) -> None:
        """Frees the slots of a process that has ended."""
        with self._mutex:
            for lane in range(MAX_LANES):
                for field in FIELDS:
                    self._cells[self._cell(lane, process, field)] = 0

    def _may_take(self, lane: int, limit: int, since: int) -> bool:
        free = limit - self.total(lane, HELD)
        return free > 0 and free > sum(first < since for first, _ in self._first_waiters(lane))

    def _first_waiters(self, lane: int) -> list[tuple[int, int]]:
        """Since when the first waiter of each process with waiters waits, and the process."""
        first = self._cell(lane, 0, FIRST_SINCE)
        since = self._cells[first : first + self._processes].tolist()
        return [(began, each) for each, began in enumerate(since) if began]

    def _add(self, lane: int, process: int, field: int, number: int) -> None:
        self._cells[self._cell(lane, process, field)] += number

    def _cell(self, lane: int, process: int, field: int) -> int:
        return (lane * len(FIELDS) + field) * self._processes + process
