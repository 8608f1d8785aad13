"""How many requests a caller may send: each API key and each client address has limits of its own.

Counted by the library limits as a sliding window: two counters a caller, whatever the limit is.
"""

import asyncio
import ipaddress
import logging
import math
import time
from collections import OrderedDict
from dataclasses import dataclass

import limits
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.exceptions import RedisError

from torchserve_gateway.gateway.errors import RateLimitedError, TooManyFailuresError
from torchserve_gateway.gateway.telemetry.request_context import RequestRecord
from torchserve_gateway.settings.gateway import RateLimitSettings

logger = logging.getLogger(__name__)

PREFIX = "torchserve-gateway:limit"
# In memory. Every request passes over all of them to find those that have expired.
MAX_CALLERS = 1000
# While Redis cannot be used, it is asked so often whether it can again.
REDIS_PAUSE_S = 1.0
# Who has one IPv6 address has its whole network.
IPV6_PREFIX = 64


@dataclass(frozen=True)
class Budget:
    """What is left to one caller of one limit. name: of the limit, for the headers."""

    name: str
    rate: limits.RateLimitItem
    caller: str

    @property
    def policy(self) -> str:
        """Its place in the header RateLimit-Policy."""
        return f'"{self.name}";q={self.rate.amount};w={self.rate.get_expiry()}'


@dataclass(frozen=True)
class Charged:
    """What became of a request that was counted. reset_s: until more is left."""

    accepted: bool
    remaining: int
    reset_s: int


class BoundedMemoryStorage(MemoryStorage):
    """Forgets the callers that were not heard of for the longest."""

    def __init__(self) -> None:
        super().__init__()
        self._expiries: OrderedDict[str, int] = OrderedDict()

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """As the base class."""
        self._expiries[key] = expiry
        self._expiries.move_to_end(key)
        if len(self._expiries) > MAX_CALLERS:
            await self.clear_sliding_window(*self._expiries.popitem(last=False))
        return await super().acquire_sliding_window_entry(key, limit, expiry, amount)


class RateLimits:
    """Counts and refuses. unchecked: requests that were let through since Redis could not be asked."""

    def __init__(self, settings: RateLimitSettings) -> None:
        self._per_key = _parsed(settings.per_key)
        self._per_address = _parsed(settings.per_address)
        self._failures = _parsed(settings.failed_keys_per_address)
        self._timeout_s = settings.redis_timeout_s
        self._storage = _storage(settings.redis_url)
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._redis_is_down = False
        self._ask_again_at = 0.0
        self.unchecked = 0

    @property
    def limits_addresses(self) -> bool:
        """Whether callers without a key have a limit."""
        return self._per_address is not None

    async def charge_address(self, record: RequestRecord, cost: int = 1) -> None:
        """Counts a request, or several, for the address that it comes from.

        Raises:
            RateLimitedError: they are more than the limit allows.
        """
        if self._per_address:
            await self._charge(record, Budget("address", self._per_address, network_of(record.client)), cost)

    async def charge_caller(self, record: RequestRecord, cost: int = 1) -> None:
        """As `charge_address`, for the caller whose key it has."""
        if self._per_key and record.caller:
            await self._charge(record, Budget("key", self._per_key, record.caller), cost)

    async def charge(self, record: RequestRecord, cost: int) -> None:
        """Counts more for a request that was let in, before that is done; raises as `charge_address`."""
        if cost:
            await self.charge_address(record, cost)
            await self.charge_caller(record, cost)

    async def count_failure(self, record: RequestRecord) -> None:
        """Counts a request without a valid key.

        Raises:
            TooManyFailuresError: they are more than the limit allows.
        """
        if not self._failures:
            return
        charged = await self._count(Budget("failed", self._failures, network_of(record.client)), 1)
        if charged and not charged.accepted:
            raise TooManyFailuresError(
                "too many requests without a valid API key come from this address", charged.reset_s
            )

    async def close(self) -> None:
        """Closes connections."""
        if isinstance(self._storage, RedisStorage):
            await self._storage.bridge.storage.aclose()  # type: ignore[attr-defined] # limits has no close()

    async def _charge(self, record: RequestRecord, budget: Budget, cost: int) -> None:
        charged = await self._count(budget, cost)
        if charged is None:
            return
        state = f'"{budget.name}";r={charged.remaining};t={charged.reset_s}'
        record.rate_limits[budget.policy] = state
        if not charged.accepted:
            raise RateLimitedError(
                f"{budget.rate} are allowed for this {budget.name}, {charged.remaining} are left; "
                f"this request counts as {cost}",
                charged.reset_s,
            )

    async def _count(self, budget: Budget, cost: int) -> Charged | None:
        """None: Redis could not be asked."""
        if time.monotonic() < self._ask_again_at:
            self.unchecked += 1
            return None
        identifiers = budget.name, budget.caller
        try:
            async with asyncio.timeout(self._timeout_s):
                accepted = await self._limiter.hit(budget.rate, *identifiers, cost=cost)
                reset_at, remaining = await self._limiter.get_window_stats(budget.rate, *identifiers)
        except (RedisError, OSError) as exc:
            self._do_without(exc)
            return None
        self._redis_is_down = False
        return Charged(accepted, remaining, max(1, math.ceil(reset_at - time.time())))

    def _do_without(self, problem: Exception) -> None:
        self.unchecked += 1
        self._ask_again_at = time.monotonic() + REDIS_PAUSE_S
        # Once, not for every request.
        if not self._redis_is_down:
            reason = str(problem) or "it takes too long"
            logger.error("Redis cannot be used, requests are not limited: %s", reason)
        self._redis_is_down = True


def network_of(client: str) -> str:
    """Who is counted as one: an IPv4 address, or the network that one gets with an IPv6 address."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address.packed, IPV6_PREFIX), strict=False))


def _parsed(rate: str | None) -> limits.RateLimitItem | None:
    return limits.parse(rate) if rate else None


def _storage(redis_url: str | None) -> RedisStorage | BoundedMemoryStorage:
    if redis_url is None:
        return BoundedMemoryStorage()
    return RedisStorage(f"async+{redis_url}", implementation="redispy", key_prefix=PREFIX)
