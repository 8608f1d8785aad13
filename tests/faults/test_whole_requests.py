"""Whatever bytes a client sends: an answer that is none of a failure, and nothing that others notice."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.random_requests import CUTS, HIDING, REQUESTS, packets
from tools.bench.hostile_clients.answers import Answer
from tools.bench.hostile_clients.arena import target_of
from tools.bench.hostile_clients.framing import FENCE, H2C, HIDDEN, SMUGGLED
from tools.bench.hostile_clients.gateway_process import RunningGateway, Vitals
from tools.bench.hostile_clients.passed_on import is_in_its_place
from tools.bench.hostile_clients.stand_in import StandIn, gateway_before_stand_in
from tools.bench.hostile_clients.wire import Request, Target, converse

# A packet that is read by itself, mostly.
PAUSE_S = 0.01
SHORT = ("gateway.head_timeout_s=0.3", "gateway.body_timeout_s=0.3")
SLACK_BYTES = 64 << 20
SLACK_FILES = 64
# 501: a method or transfer coding, 505: a version of HTTP, that the gateway does not know.
TOLD = frozenset({501, 502, 503, 504, 505})


@dataclass
class Scene:
    """before: vitals before the first request; seen: lines of the stand-in that were looked at."""

    gateway: RunningGateway
    torchserve: StandIn
    target: Target
    before: Vitals
    seen: int = 0

    async def reached_torchserve(self) -> list[str]:
        """Request lines since the last call."""
        lines = await self.torchserve.request_lines()
        new, self.seen = lines[self.seen :], len(lines)
        return new


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with gateway_before_stand_in(tmp_path_factory.mktemp("requests"), *SHORT) as (gateway, torchserve):
        yield Scene(gateway, torchserve, target_of(gateway), gateway.vitals())


async def check_nothing_happened(scene: Scene) -> None:
    """Nothing is left behind, and another client is served."""
    good = Request(path="/predictions/genre", body=scene.target.image)
    [answer] = await converse(scene.target, good.raw)
    assert answer.status == 200
    assert scene.gateway.resident_bytes < scene.before.resident_bytes + SLACK_BYTES
    assert scene.gateway.open_files < scene.before.open_files + SLACK_FILES


def is_told(answer: Answer) -> bool:
    """A problem document that says so."""
    problem = json.loads(answer.body)
    media_type = answer.headers["content-type"]
    return bool(
        media_type == "application/problem+json" and problem["status"] == answer.status and problem["detail"]
    )


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(raw=REQUESTS, cuts=CUTS, half_closes=st.booleans())
async def test_any_request_is_answered_or_closed_and_no_neighbour_is_affected(
    scene: Scene, raw: bytes, cuts: list[int], half_closes: bool
) -> None:
    expected = None if half_closes else 1
    answers = await converse(
        scene.target, *packets(raw, cuts), expected=expected, pause_s=PAUSE_S, half_closes=half_closes
    )
    failures = [answer for answer in answers if answer.status >= 500]
    # Behind a HEAD there is no body that could say so.
    assert {answer.status for answer in failures} <= TOLD
    assert all(is_told(answer) for answer in failures if not raw.startswith(b"HEAD "))
    assert [line for line in await scene.reached_torchserve() if not is_in_its_place(line)] == []
    await check_nothing_happened(scene)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(raw=HIDING, cuts=CUTS, apart=st.booleans())
@example(
    raw=Request(path="/predictions/other", headers=H2C, body=HIDDEN, closes=False).raw, cuts=[], apart=True
)
async def test_a_request_in_a_body_is_never_one(
    scene: Scene, raw: bytes, cuts: list[int], apart: bool
) -> None:
    """apart: the head ends with a packet."""
    head_end = raw.index(b"\r\n\r\n") + 4 if apart else 0
    sent = [raw[:head_end], *packets(raw[head_end:], cuts), FENCE]
    answers = await converse(scene.target, *sent, pause_s=PAUSE_S)
    assert len(answers) <= 2
    assert not [line for line in await scene.reached_torchserve() if SMUGGLED in line]
    await check_nothing_happened(scene)
