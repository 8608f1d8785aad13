"""Counters of rate limits in memory that all processes share, with a bound on the callers kept."""

import hashlib
from math import floor

from torchserve_gateway.gateway.processes.shared_memory import Mutex, integers

# A caller has one of the places of its row; a full row forgets the caller that was seen longest ago.
ROWS, PLACES = 512, 8
FIELDS = CALLER, WINDOW, COUNT, COUNT_BEFORE = range(4)


class RateTable:
    """Counts by caller in the current and in the previous window of time, as the library `limits` does."""

    def __init__(self, mutex: Mutex) -> None:
        self._mutex = mutex
        self._cells = integers(ROWS * PLACES * len(FIELDS))
        self._seen = integers(ROWS * PLACES)
        self._clock = integers(1)

    def hit(self, caller: str, limit: int, period_s: int, amount: int, now: float) -> bool:
        """Counts a request as `amount`, unless the caller would be over the limit."""
        with self._mutex:
            place = self._place(caller)
            before, count = self._move(place, period_s, now)
            if floor(before * left_of_window(period_s, now) + count) + amount > limit:
                return False
            self._cells[place + COUNT] += amount
            return True

    def counts(self, caller: str, period_s: int, now: float) -> tuple[int, int]:
        """The counts of the previous and of the current window."""
        with self._mutex:
            return self._move(self._place(caller), period_s, now)

    def _move(self, place: int, period_s: int, now: float) -> tuple[int, int]:
        """Begins a new window where one is due."""
        cells, window = self._cells, int(now / period_s)
        if cells[place + WINDOW] != window:
            follows = cells[place + WINDOW] == window - 1
            cells[place + COUNT_BEFORE] = cells[place + COUNT] if follows else 0
            cells[place + COUNT] = 0
            cells[place + WINDOW] = window
        return cells[place + COUNT_BEFORE], cells[place + COUNT]

    def _place(self, caller: str) -> int:
        """The index of the caller's first cell; another caller is forgotten if there is no room."""
        name = int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=7).digest()) + 1
        row = name % ROWS * PLACES
        places = range(row, row + PLACES)
        found = next((each for each in places if self._cells[each * len(FIELDS)] == name), None)
        if found is None:
            found = min(places, key=self._seen.__getitem__)
            for field in FIELDS:
                self._cells[found * len(FIELDS) + field] = 0
            self._cells[found * len(FIELDS) + CALLER] = name
        self._clock[0] += 1
        self._seen[found] = self._clock[0]
        return found * len(FIELDS)


def left_of_window(period_s: int, now: float) -> float:
    """The share of the previous window that the sliding window still covers."""
    return 1 - now / period_s % 1
