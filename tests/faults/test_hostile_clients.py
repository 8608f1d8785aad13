"""Clients that mean harm do none to others: each attack runs beside a neighbour that does nothing wrong.

The neighbour's latency with and without each attack is printed; `pytest -rP` shows it.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.http_client import HTTP
from tests.processes import until
from tools.bench.hostile_clients.arena import ATTACKS, HEADING, IMAGE, Arena, target_of
from tools.bench.hostile_clients.attack import Attack
from tools.bench.hostile_clients.framing import SMUGGLED
from tools.bench.hostile_clients.gateway_process import RunningGateway, Vitals
from tools.bench.hostile_clients.observed_neighbour import neighbour_of
from tools.bench.hostile_clients.passed_on import is_in_its_place
from tools.bench.hostile_clients.stand_in import StandIn, gateway_before_stand_in
from tools.bench.hostile_clients.wire import Request, Target, converse, outcomes

SETTLES_S = 15
# What the allocator keeps of bodies, what code that runs for the first time brings, idle connections
SLACK_BYTES = 128 << 20
SLACK_FILES = 64
SLACK_SERIES = 500
LONGEST_LOG_LINE = 8192
# Enough for some answers of the neighbour; `make bench` measures its latency for longer.
SHORTEST_S = 0.1
# Nobody's tests beside this one should run out of memory when the gateway keeps every body.
RUNAWAY_BYTES = 600 << 20
# A short attack of each module; `make test_all` runs all.
QUICK = {
    "invalid Content-Types",
    "ambiguous framing",
    "odd paths",
    "hostile JSON",
    "half-closed in the request",
}


@dataclass(frozen=True)
class Scene:
    """A gateway, its neighbour, and the TorchServe behind it."""

    arena: Arena
    torchserve: StandIn


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with gateway_before_stand_in(tmp_path_factory.mktemp("hostile")) as (gateway, torchserve):
        target = target_of(gateway)
        with neighbour_of(target, IMAGE) as neighbour:
            yield Scene(Arena(gateway, target, neighbour, SHORTEST_S), torchserve)


def until_settled(gateway: RunningGateway, before: Vitals) -> None:
    """Returns when memory and descriptors are near what they were."""
    give_up = time.monotonic() + SETTLES_S
    while True:
        now = gateway.vitals()
        bounded = (
            now.resident_bytes <= before.resident_bytes + SLACK_BYTES
            and now.open_files <= before.open_files + SLACK_FILES
            and now.series <= before.series + SLACK_SERIES
        )
        if bounded:
            return
        assert time.monotonic() < give_up, f"before: {before}, now: {now}"
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(each, id=each.name, marks=() if each.name in QUICK else pytest.mark.long)
        for each in ATTACKS
    ],
)
async def test_an_attack_harms_no_neighbour_and_leaves_nothing_behind(scene: Scene, attack: Attack) -> None:
    gateway = scene.arena.gateway
    before, logged, sent = (
        gateway.vitals(),
        gateway.log.stat().st_size,
        len(await scene.torchserve.request_lines()),
    )
    bout = await scene.arena.bout(attack)
    print(f"{HEADING}\n{bout.row}")
    assert bout.attacked.outcomes.keys() == bout.quiet.outcomes.keys() == {"200"}
    assert bout.outcomes.keys() <= attack.allowed
    assert gateway.is_alive
    assert gateway.is_ready()
    until_settled(gateway, before)
    lines = gateway.log.read_bytes()[logged:].splitlines()
    assert [line for line in lines if b"Traceback" in line or b"unforeseen" in line] == []
    assert max(map(len, lines), default=0) <= LONGEST_LOG_LINE
    reached = (await scene.torchserve.request_lines())[sent:]
    assert [line for line in reached if not is_in_its_place(line) or SMUGGLED in line] == []


def until_memory_is_back(gateway: RunningGateway, before_bytes: int) -> None:
    give_up = time.monotonic() + SETTLES_S
    while (grown := gateway.resident_bytes - before_bytes) > SLACK_BYTES:
        assert time.monotonic() < give_up, f"{grown / 1e6:.0f} MB more than before"
        time.sleep(0.1)


# Kept, 50 bodies would take twice the slack.
@pytest.mark.long
@pytest.mark.parametrize("bodies", [50, 500])
async def test_bodies_of_6_mb_that_are_refused_while_torchserve_is_down_leave_no_memory_behind(
    tmp_path: Path, bodies: int
) -> None:
    with gateway_before_stand_in(tmp_path, "gateway.body_timeout_s=15") as (gateway, torchserve):
        target = target_of(gateway)
        raw = Request(path="/predictions/other", body=bytes(6_000_000)).raw
        # As many at once as below, so that the heap has had this size before.
        await outcomes(converse(target, raw) for _ in range(50))
        before = gateway.resident_bytes
        torchserve.kill()
        answered: Counter[int] = Counter()
        while answered.total() < bodies:
            answered += await outcomes(converse(target, raw) for _ in range(50))
            assert gateway.resident_bytes < before + RUNAWAY_BYTES, answered
        assert answered.keys() <= {502, 503}
        until_memory_is_back(gateway, before)
        print(
            f"resident: {before / 1e6:.0f} MB before, {gateway.resident_bytes / 1e6:.0f} MB after; {answered}"
        )
        assert await statuses(target, Request("GET", "/health/live")) == [200]


async def statuses(target: Target, *requests: Request) -> list[int]:
    """Of requests on one connection."""
    answers = await converse(target, *(request.raw for request in requests), expected=len(requests))
    return [answer.status for answer in answers]


async def answers_as_always(gateway: RunningGateway) -> bool:
    """Requests whose log lines cannot be written, some of them with an error, are answered like others."""
    target = target_of(gateway)
    requests = (
        Request(path="/predictions/genre", body=target.image, closes=False),
        Request(path="/predictions/genre", body=b"no image", closes=False),
        Request("GET", "/nothing-here", closes=False),
        Request(path="/predictions/genre", body=target.image),
    )
    return all([await statuses(target, *requests) == [200, 415, 404, 200] for _ in range(10)])


def lost_lines(gateway: RunningGateway) -> float:
    page = HTTP.get(f"{gateway.url}/metrics").text
    found = re.findall(r"^gateway_log\w*_total(?:\{.*\})? (\S+)$", page, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.long
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
async def test_a_log_on_a_full_disk_changes_no_answer_and_its_lost_lines_are_counted(tmp_path: Path) -> None:
    (tmp_path / "gateway.log").symlink_to("/dev/full")
    with gateway_before_stand_in(tmp_path) as (gateway, _):
        assert await answers_as_always(gateway)
        assert gateway.is_ready()
        until(lambda: lost_lines(gateway) >= 40)


@pytest.mark.slow
async def test_a_log_whose_reader_is_gone_changes_no_answer_and_its_lost_lines_are_counted(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "gateway.log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with gateway_before_stand_in(tmp_path) as (gateway, _):
        os.close(reader)
        assert await answers_as_always(gateway)
        assert gateway.is_ready()
        until(lambda: lost_lines(gateway) >= 40)
