"""Limits the request rate of each API key and each client address.

The library `limits` counts a sliding window with two counters per caller, whatever the limit.
"""

import asyncio
import ipaddress
import logging
import math
import time
from dataclasses import dataclass

import limits
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

from torchserve_gateway.gateway.access.rate_limit_storage import BoundedMemoryStorage, SharedMemoryStorage
from torchserve_gateway.gateway.errors import RateLimitedError, TooManyFailuresError
from torchserve_gateway.gateway.processes.rate_table import RateTable
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.settings.gateway import RateLimitSettings

logger = logging.getLogger(__name__)

PREFIX = "torchserve-gateway:limit"

# Pause before an unreachable Redis is tried again.
REDIS_PAUSE_S = 1.0
# Limit IPv6 per /64: one client controls the prefix.
IPV6_PREFIX = 64


@dataclass(frozen=True)
class Budget:
    """A limit applied to a caller."""

    name: str
    """Name of the limit in the headers `RateLimit-Policy` and `RateLimit`."""
    rate: limits.RateLimitItem
    """Requests per period."""
    caller: str
    """Name of the API key's caller, or the client's network."""

    @property
    def policy(self) -> str:
        """The limit's entry in the header `RateLimit-Policy`."""
        return f'"{self.name}";q={self.rate.amount};w={self.rate.get_expiry()}'


@dataclass(frozen=True)
class Charged:
    """The outcome of counting a request."""

    accepted: bool
    """The request is within the limit."""
    remaining: int
    """Requests left in the window."""
    reset_s: int
    """Seconds until more requests are allowed."""


class RateLimits:
    """Counts requests and refuses those over a limit.

    Args:
        settings: The limits.
        shared: Counters that the processes of this gateway share; None: there is one process.

    Attributes:
        unchecked: Number of requests that passed uncounted because Redis was unreachable.
    """

    def __init__(self, settings: RateLimitSettings, shared: RateTable | None = None) -> None:
        self._per_key = _parsed(settings.per_key)
        self._per_address = _parsed(settings.per_address)
        self._failures = _parsed(settings.failed_keys_per_address)
        self._timeout_s = settings.redis_timeout_s
        # Our own pool, because the library offers no way to close its connections.
        self._pool = ConnectionPool.from_url(settings.redis_url) if settings.redis_url else None
        self._limiter = SlidingWindowCounterRateLimiter(_storage(self._pool, shared))
        self._redis_is_down = False
        self._ask_again_at = 0.0
        self.unchecked = 0

    @property
    def limits_addresses(self) -> bool:
        """True if requests are limited per client address."""
        return self._per_address is not None

    async def charge_address(self, context: RequestContext, cost: int = 1) -> None:
        """Counts a request, as `cost` requests, for its client's address.

        Raises:
            RateLimitedError: The request is over the limit.
        """
        if self._per_address:
            await self._charge(
                context, Budget("address", self._per_address, network_of(context.client)), cost
            )

    async def charge_caller(self, context: RequestContext, cost: int = 1) -> None:
        """Counts a request, as `cost` requests, for its API key's caller.

        Raises:
            RateLimitedError: The request is over the limit.
        """
        if self._per_key and context.caller:
            await self._charge(context, Budget("key", self._per_key, context.caller), cost)

    async def charge(self, context: RequestContext, cost: int) -> None:
        """Counts `cost` more for an accepted request, for its address and its caller.

        Raises:
            RateLimitedError: The request is over a limit.
        """
        if cost:
            await self.charge_address(context, cost)
            await self.charge_caller(context, cost)

    async def count_failure(self, context: RequestContext) -> None:
        """Counts a request without a valid key.

        Raises:
            TooManyFailuresError: The address has sent too many of them.
        """
        if not self._failures:
            return
        charged = await self._count(Budget("failed", self._failures, network_of(context.client)), 1)
        if charged and not charged.accepted:
            raise TooManyFailuresError(
                "too many requests without a valid API key come from this address", charged.reset_s
            )

    async def close(self) -> None:
        """Closes the connections to Redis."""
        if self._pool:
            await self._pool.aclose()

    async def _charge(self, context: RequestContext, budget: Budget, cost: int) -> None:
        charged = await self._count(budget, cost)
        if charged is None:
            return
        state = f'"{budget.name}";r={charged.remaining};t={charged.reset_s}'
        context.rate_limits[budget.policy] = state
        if not charged.accepted:
            raise RateLimitedError(
                f"this {budget.name} may send {budget.rate} and has {charged.remaining} left; "
                f"this request counts as {cost}",
                charged.reset_s,
            )

    async def _count(self, budget: Budget, cost: int) -> Charged | None:
        """Counts in the window; returns None if Redis is unreachable."""
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
        # Log the outage, not every request in it.
        if not self._redis_is_down:
            reason = str(problem) or "it takes too long"
            logger.error("Redis is unreachable, requests are not limited: %s", reason)
        self._redis_is_down = True


def network_of(client: str) -> str:
    """Returns the unit that an address limit counts: the IPv4 address, or the /64 of an IPv6 address."""
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


def _storage(
    pool: ConnectionPool | None, shared: RateTable | None
) -> RedisStorage | BoundedMemoryStorage | SharedMemoryStorage:
    if pool is None:
        return SharedMemoryStorage(shared) if shared else BoundedMemoryStorage()
    return RedisStorage(
        "async+redis://",
        implementation="redispy",
        key_prefix=PREFIX,
        connection_pool=pool,  # type: ignore[arg-type] # documented for redispy, missing from the types
    )
