"""Slots of a model that several processes share; here each process is a lane in this one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from torchserve_gateway.gateway.processes.shared_lanes import SharedLane, SharedSlot
from torchserve_gateway.gateway.processes.siblings import Shared, Sibling

LONG_S = 60
PROCESSES = 3


@asynccontextmanager
async def lanes(limit: int) -> AsyncIterator[tuple[Shared, list[SharedLane]]]:
    """The lane of one model in each of the processes, which heed each other's messages."""
    shared = Shared(PROCESSES)
    siblings = [Sibling(shared, number, parent_lives=-1) for number in range(PROCESSES)]
    async with contextlib.AsyncExitStack() as stack:
        for each in siblings:
            await stack.enter_async_context(each.listening(publish=lambda: None))
        yield shared, [each.lane("genre", limit) for each in siblings]


async def waits(task: asyncio.Task[SharedSlot]) -> bool:
    """Whether the task still waits when all messages are heeded."""
    for _ in range(10):
        await asyncio.sleep(0)
    done, _ = await asyncio.wait((task,), timeout=0.02)
    return not done


def starts(lane: SharedLane) -> asyncio.Task[SharedSlot]:
    return asyncio.create_task(lane.take(LONG_S))


async def test_the_limit_is_over_all_processes_and_one_may_have_all_slots() -> None:
    async with lanes(3) as (_, [one, other, _]):
        slots = [await one.take(0) for _ in range(3)]
        assert (one.in_flight, other.in_flight, other.waiting) == (3, 3, 0)
        with pytest.raises(TimeoutError):
            await other.take(0)
        slots[0].give_back()
        (await other.take(0)).give_back()
        assert one.waiting == other.waiting == 0


async def test_a_slot_goes_to_the_request_that_came_first_in_whichever_process() -> None:
    async with lanes(1) as (_, [one, other, third]):
        slot, order = await one.take(0), []
        waiting = []
        for lane in (other, one, third, other):
            waiting.append(starts(lane))
            assert await waits(waiting[-1])
        assert one.waiting == 4
        for task in waiting:
            slot.give_back()
            slot = await asyncio.wait_for(task, LONG_S)
            order.append([each.done() for each in waiting])
        assert order == [[True] * n + [False] * (4 - n) for n in (1, 2, 3, 4)]


async def test_a_busy_process_does_not_take_the_slots_that_others_wait_for() -> None:
    async with lanes(1) as (_, [busy, other, _]):
        slot, first = await busy.take(0), starts(other)
        assert await waits(first)
        slot.give_back()
        # It is free, and promised.
        with pytest.raises(TimeoutError):
            await busy.take(0)
        assert await asyncio.wait_for(first, LONG_S)


async def test_who_gives_up_holds_up_no_other() -> None:
    async with lanes(1) as (_, [one, other, third]):
        slot = await one.take(0)
        gives_up, stays = starts(other), starts(third)
        assert await waits(gives_up)
        assert await waits(stays)
        slot.give_back()
        gives_up.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            # The slot may have reached it before the cancellation did.
            (await gives_up).give_back()
        (await asyncio.wait_for(stays, LONG_S)).give_back()
        assert (one.in_flight, one.waiting) == (0, 0)


async def test_slots_of_a_killed_process_are_free_for_the_others() -> None:
    async with lanes(2) as (shared, [one, other, _]):
        for _ in range(2):
            await one.take(0)
        waiting = starts(other)
        assert await waits(waiting)
        shared.ended(0)
        assert await asyncio.wait_for(waiting, LONG_S)
        assert other.in_flight == 1


async def test_more_slots_are_given_out_at_once() -> None:
    async with lanes(1) as (_, [one, other, _]):
        await one.take(0)
        waiting = starts(other)
        assert await waits(waiting)
        other.resize(2)
        assert await asyncio.wait_for(waiting, LONG_S)
        one.resize(2)
        assert (one.in_flight, one.limit, one.expected_wait_s) == (2, 2, 0)


async def test_models_have_slots_of_their_own() -> None:
    shared = Shared(2)
    one, other = (Sibling(shared, number, parent_lives=-1) for number in range(2))
    await one.lane("genre", 1).take(0)
    await other.lane("other", 1).take(0)
    with pytest.raises(TimeoutError):
        await other.lane("genre", 1).take(0)


async def test_without_a_free_slot_the_wait_is_estimated_over_all_processes() -> None:
    async with lanes(1) as (_, [one, other, _]):
        (await one.take(0)).give_back()
        assert one.mean_s >= 0
        await other.take(0)
        one.mean_s = 2.0
        waiting = starts(other)
        assert await waits(waiting)
        assert one.expected_wait_s == (1 + 1) * 2.0
        waiting.cancel()
