"""Counters of rate limits in memory, with a bound on the callers kept."""

from collections import OrderedDict

from limits.aio.storage import MemoryStorage

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
