"""Counters of rate limits in memory, with a bound on the callers kept."""

import time
from collections import OrderedDict

from limits.aio.storage import MemoryStorage

from torchserve_gateway.gateway.processes.rate_table import RateTable, left_of_window

MAX_CALLERS = 1000
"""Default bound. The library scans all callers at every request for expired counters."""


class BoundedMemoryStorage(MemoryStorage):
    """Keeps the counters of `max_callers` callers and forgets the least recently seen caller."""

    def __init__(self, max_callers: int = MAX_CALLERS) -> None:
        super().__init__()
        self._max_callers = max_callers
        self._expiries: OrderedDict[str, int] = OrderedDict()

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Counts as the base class does, and evicts the least recently seen caller if there are too many."""
        self._expiries[key] = expiry
        self._expiries.move_to_end(key)
        if len(self._expiries) > self._max_callers:
            await self.clear_sliding_window(*self._expiries.popitem(last=False))
        return await super().acquire_sliding_window_entry(key, limit, expiry, amount)


class SharedMemoryStorage(MemoryStorage):
    """Keeps the counters in memory that all processes of this gateway share."""

    def __init__(self, table: RateTable) -> None:
        super().__init__()
        self._table = table

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Counts as the base class does."""
        return self._table.hit(key, limit, expiry, amount, time.time())

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The counts of the previous and the current window, each with the seconds that it counts for."""
        now = time.time()
        before, count = self._table.counts(key, expiry, now)
        left_s = left_of_window(expiry, now) * expiry
        return before, left_s if before else 0.0, count, left_s + expiry
