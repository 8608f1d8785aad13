"""Budgets of callers: what fits, what is left, and that nobody fills the memory with callers."""

import asyncio
import logging
import random
import time
from typing import Any

import pytest
from limits import parse
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from torchserve_gateway.gateway.access.rate_limit_storage import BoundedMemoryStorage, SharedMemoryStorage
from torchserve_gateway.gateway.access.rate_limits import RateLimits, network_of
from torchserve_gateway.gateway.errors import RateLimitedError
from torchserve_gateway.gateway.processes.rate_table import RateTable
from torchserve_gateway.gateway.processes.siblings import Shared
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.settings.composition import ConfigurationError, load
from torchserve_gateway.settings.gateway import RateLimitSettings
from torchserve_gateway.settings.project import ProjectSettings


def limits(*, shared: RateTable | None = None, **settings: Any) -> RateLimits:
    unset = dict.fromkeys(("per_key", "per_address", "failed_keys_per_address", "redis_url"))
    return RateLimits(RateLimitSettings(**{**unset, "redis_timeout_s": 0.2, **settings}), shared)


def request(client: str = "192.0.2.1", caller: str | None = None) -> RequestContext:
    return RequestContext("id", client=client, caller=caller)


async def accepted(limits: RateLimits, context: RequestContext, cost: int = 1) -> bool:
    try:
        await limits.charge(context, cost)
    except RateLimitedError:
        return False
    return True


async def test_each_caller_has_a_budget_of_its_own() -> None:
    budgets = limits(per_key="3/day")
    assert [await accepted(budgets, request(caller="a")) for _ in range(5)] == [True] * 3 + [False] * 2
    assert await accepted(budgets, request(caller="b"))


async def test_what_costs_more_than_is_left_is_refused_whole() -> None:
    budgets = limits(per_address="10/day")
    assert await accepted(budgets, request(), 8)
    assert not await accepted(budgets, request(), 3)
    assert await accepted(budgets, request(), 2)
    assert not await accepted(budgets, request())


async def test_both_budgets_are_shown_as_the_draft_writes_them() -> None:
    context = request(caller="a")
    await limits(per_key="600/minute", per_address="2/day").charge(context, 1)
    assert list(context.rate_limits) == ['"address";q=2;w=86400', '"key";q=600;w=60']
    [address, key] = context.rate_limits.values()
    assert address.startswith('"address";r=1;t=')
    assert key.startswith('"key";r=599;t=')
    assert 1 <= int(key.rpartition("=")[2]) <= 60


async def test_many_requests_at_once_get_no_more_than_the_limit() -> None:
    budgets = limits(per_key="10/day")
    outcomes = await asyncio.gather(*(accepted(budgets, request(caller="a")) for _ in range(50)))
    assert sum(outcomes) == 10


async def test_memory_stays_bounded_however_many_addresses_come() -> None:
    storage = BoundedMemoryStorage(max_callers=50)
    limiter, limit = SlidingWindowCounterRateLimiter(storage), parse("2/day")
    for number in range(500):
        assert await limiter.hit(limit, f"10.0.{number // 250}.{number % 250}")
        # A regular caller is not forgotten because of many new callers.
        await limiter.hit(limit, "192.0.2.1")
    assert not await limiter.hit(limit, "192.0.2.1")
    # Two windows for each caller.
    assert all(len(each) <= 100 for each in (storage.storage, storage.expirations, storage.locks))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::1", True),
        ("", "made-up", True),
    ],
)
def test_whoever_has_a_network_is_one(one: str, other: str, *, same: bool) -> None:
    assert (network_of(one) == network_of(other)) is same


async def test_without_redis_nothing_is_limited_and_that_is_logged_once_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    budgets = limits(per_key="1/day", redis_url="redis://127.0.0.1:1/0")
    with caplog.at_level(logging.ERROR):
        assert [await accepted(budgets, request(caller="a")) for _ in range(5)] == [True] * 5
    await budgets.close()
    assert budgets.unchecked == 5
    [record] = caplog.records
    assert "Redis is unreachable, requests are not limited" in record.message


@pytest.mark.parametrize(
    "rate", ["600", "many/minute", "1/second;2/minute", "0/minute", "-1/minute", "1/fortnight", ""]
)
def test_a_limit_that_is_none_is_named(rate: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"gateway.rate_limit.per_key = .*(write it as|0 would refuse)"
    ):
        load("gateway", ProjectSettings, [f"gateway.rate_limit.per_key='{rate}'"])


async def test_processes_that_share_memory_count_together() -> None:
    table = Shared(2).rates
    processes = [limits(shared=table, per_key="5/day") for _ in range(2)]
    outcomes = [await accepted(processes[n % 2], request(caller="a")) for n in range(8)]
    assert outcomes == [True] * 5 + [False] * 3
    assert await accepted(processes[0], request(caller="b"))
    context = request(caller="b")
    await processes[1].charge(context, 1)
    assert context.rate_limits['"key";q=5;w=86400'].startswith('"key";r=3;t=')


@pytest.mark.parametrize("rate", ["5/second", "7/minute", "100/hour"])
async def test_shared_memory_limits_as_the_library_does(monkeypatch: pytest.MonkeyPatch, rate: str) -> None:
    item, choice, now = parse(rate), random.Random(rate), 1_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    ours = SlidingWindowCounterRateLimiter(SharedMemoryStorage(Shared(1).rates))
    library = SlidingWindowCounterRateLimiter(BoundedMemoryStorage())
    for _ in range(300):
        now += choice.random() * item.get_expiry() / 3
        cost = choice.choice((1, 1, 3))
        assert await ours.hit(item, "a", cost=cost) == await library.hit(item, "a", cost=cost)
        assert await ours.get_window_stats(item, "a") == await library.get_window_stats(item, "a")


async def test_shared_memory_forgets_callers_before_it_is_full() -> None:
    storage = SharedMemoryStorage(Shared(1).rates)
    limiter = SlidingWindowCounterRateLimiter(storage)
    for number in range(10_000):
        assert await limiter.hit(parse("1/day"), str(number))
    assert not await limiter.hit(parse("1/day"), "9999")
