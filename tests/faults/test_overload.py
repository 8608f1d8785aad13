"""More requests than TorchServe can take, and a TorchServe that is not there."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe, error
from tests.raw_request import http_scope
from tests.served_gateway import gateway_of_record
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.gateway.prediction.lanes import Lane
from torchserve_gateway.record.record import DeployedModel

FULL = error(503, "ServiceUnavailableException", 'Model "genre" has no worker')
HANDLER_FAILED = error(503, "InternalServerException", "Prediction failed")
REFUSED = httpx.ConnectError("refused")
ANSWER = httpx.Response(200, content=b'{"Horror": 1.0}')


class SlowTorchServe:
    """Holds every request until it is released, and counts those it holds."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.received: list[bytes] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return error(404, "ModelNotFoundException", "whether its workers load is not known")
        self.received.append(request.content)
        await self.release.wait()
        return httpx.Response(200, content=b'{"Horror": 1.0}')


def application(torchserve: Callable[[httpx.Request], Any], *overrides: str) -> FastAPI:
    return create_app(gateway_settings(*overrides), httpx.MockTransport(torchserve))


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the application, which has no event
            await asyncio.sleep(0.001)


LIMITS = ("gateway.admission.max_in_flight=2", "gateway.admission.max_waiting=3")


async def test_what_does_not_fit_is_refused_at_once_and_the_rest_is_answered() -> None:
    torchserve = SlowTorchServe()
    async with client(application(torchserve, *LIMITS)) as http:
        admitted = [asyncio.create_task(http.post("/predictions/m", content=b"1")) for _ in range(5)]
        await until(lambda: len(torchserve.received) == 2)
        # Nobody is released: this answer does not wait for anyone.
        refused = await http.post("/predictions/m", content=b"2")
        assert refused.status_code == 503
        assert "m is overloaded: 2 requests are in flight and 3 wait" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) >= 1
        assert len(torchserve.received) == 2
        torchserve.release.set()
        assert [(await each).status_code for each in admitted] == [200] * 5
        assert b"2" not in torchserve.received


async def test_a_request_whose_turn_does_not_come_in_time_is_not_sent() -> None:
    torchserve = SlowTorchServe()
    async with client(application(torchserve, *LIMITS, "gateway.admission.max_wait_s=0.1")) as http:
        first = [asyncio.create_task(http.post("/predictions/m", content=b"1")) for _ in range(2)]
        await until(lambda: len(torchserve.received) == 2)
        late = await http.post("/predictions/m", content=b"late")
        assert late.status_code == 503
        torchserve.release.set()
        await asyncio.gather(*first)
        assert (await http.post("/predictions/m", content=b"next")).status_code == 200
    assert torchserve.received == [b"1", b"1", b"next"]


async def test_a_request_that_waits_for_its_turn_until_its_own_deadline_is_told_so() -> None:
    torchserve = SlowTorchServe()
    async with client(application(torchserve, *LIMITS)) as http:
        first = [asyncio.create_task(http.post("/predictions/m", content=b"1")) for _ in range(2)]
        await until(lambda: len(torchserve.received) == 2)
        late = await http.post("/predictions/m", content=b"late", headers={"X-Request-Timeout": "0.1"})
        assert late.status_code == 504
        assert "2 requests for m are in flight" in late.json()["detail"]
        torchserve.release.set()
        await asyncio.gather(*first)
    assert torchserve.received == [b"1", b"1"]


async def test_one_model_that_is_overloaded_keeps_nobody_else_waiting() -> None:
    torchserve = SlowTorchServe()
    deployed = {"busy": DeployedModel(serving=VERSION)}
    async with gateway_of_record(torchserve, deployed, *LIMITS) as http:
        busy = [asyncio.create_task(http.post("/predictions/busy", content=b"busy")) for _ in range(5)]
        await until(lambda: len(torchserve.received) == 2)
        other = asyncio.create_task(http.post("/predictions/other", content=b"other"))
        await until(lambda: b"other" in torchserve.received)
        torchserve.release.set()
        assert [(await each).status_code for each in [*busy, other]] == [200] * 6


async def test_the_limit_is_what_the_deployed_workers_can_use() -> None:
    deployed = {"genre": DeployedModel(serving=VERSION, replicas=3)}
    async with gateway_of_record(FakeTorchServe(), deployed) as http:
        await http.post("/predictions/genre", content=b"image")
        page = (await http.get("/metrics")).text
    # 3 replicas x 2 workers x (a batch of 8 that runs and one that is collected)
    assert f'gateway_admission_limit{{model="genre"}} {3 * 2 * 2 * 8}.0' in page


async def call(app: FastAPI, gone: asyncio.Event) -> list[dict[str, Any]]:
    """One prediction whose client closes the connection when `gone` is set."""
    sent: list[dict[str, Any]] = []
    body: list[dict[str, Any]] = [{"type": "http.request", "body": b"image", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(http_scope("POST", "/predictions/m", {}), receive, send)
    return sent


async def test_a_client_that_goes_away_while_it_waits_is_not_served_and_frees_its_place() -> None:
    torchserve, gone = SlowTorchServe(), asyncio.Event()
    app = application(torchserve, "gateway.admission.max_in_flight=1", "gateway.admission.max_waiting=1")
    async with client(app) as http:
        first = asyncio.create_task(http.post("/predictions/m", content=b"first"))
        await until(lambda: len(torchserve.received) == 1)
        leaving = asyncio.create_task(call(app, gone))
        await until(lambda: app.state.admission.lane("m").waiting == 1)
        assert (await http.post("/predictions/m", content=b"x")).status_code == 503
        gone.set()
        assert await leaving == []
        assert app.state.admission.lane("m").waiting == 0
        next_one = asyncio.create_task(http.post("/predictions/m", content=b"next"))
        await until(lambda: app.state.admission.lane("m").waiting == 1)
        torchserve.release.set()
        assert (await first).status_code == (await next_one).status_code == 200
    assert torchserve.received == [b"first", b"next"]


async def test_a_client_that_goes_away_keeps_its_slot_until_torchserve_has_answered() -> None:
    torchserve, gone = SlowTorchServe(), asyncio.Event()
    app = application(torchserve, "gateway.admission.max_in_flight=1")
    leaving = asyncio.create_task(call(app, gone))
    await until(lambda: len(torchserve.received) == 1)
    gone.set()
    assert await leaving == []
    # TorchServe runs the job to its end, so another one would only wait there.
    assert app.state.admission.lane("m").in_flight == 1
    torchserve.release.set()
    await until(lambda: app.state.admission.lane("m").in_flight == 0)
    async with client(app) as http:
        assert (await http.post("/predictions/m", content=b"x")).status_code == 200


@pytest.mark.slow
async def test_short_deadlines_send_no_more_jobs_than_admission_allows() -> None:
    torchserve = SlowTorchServe()
    app = application(torchserve, "gateway.admission.max_in_flight=2", "gateway.admission.max_waiting=0")
    async with client(app) as http:
        hasty = [
            (
                await http.post("/predictions/m", content=b"x", headers={"X-Request-Timeout": "0.5"})
            ).status_code
            for _ in range(5)
        ]
        assert hasty == [504, 504, 503, 503, 503]
        assert len(torchserve.received) == 2
        torchserve.release.set()
        await until(lambda: app.state.admission.lane("m").in_flight == 0)
        assert (await http.post("/predictions/m", content=b"x")).status_code == 200


async def test_a_client_that_stays_gets_its_answer_though_the_server_reports_the_end_as_a_disconnect() -> (
    None
):
    gone = asyncio.Event()
    sent = await call(application(FakeTorchServe()), gone)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 200


@pytest.mark.parametrize("problem", [FULL, REFUSED])
async def test_a_job_that_never_ran_is_sent_again(problem: httpx.Response | Exception) -> None:
    answers = iter([problem, problem, ANSWER])
    torchserve = FakeTorchServe(lambda _: raised(next(answers)))
    async with client(application(torchserve)) as http:
        assert (await http.post("/predictions/m", content=b"x")).status_code == 200
    assert len(torchserve.requests) == 3


@pytest.mark.parametrize(
    "problem",
    [HANDLER_FAILED, error(500, "InternalServerException", "Worker died."), httpx.ReadError("reset")],
)
async def test_a_job_that_may_have_run_is_not_sent_again(problem: httpx.Response | Exception) -> None:
    torchserve = FakeTorchServe(problem)
    async with client(application(torchserve)) as http:
        assert (await http.post("/predictions/m", content=b"x")).status_code == 502
    assert [request.url.path for request in torchserve.requests].count("/predictions/m") == 1


def raised(answer: httpx.Response | Exception) -> httpx.Response:
    if isinstance(answer, Exception):
        raise answer
    return answer


async def test_while_torchserve_is_down_callers_are_told_at_once_and_a_probe_brings_it_back() -> None:
    torchserve = FakeTorchServe(REFUSED)
    overrides = ("gateway.upstream.breaker_failures=3", "gateway.upstream.breaker_open_s=0.3")
    async with client(application(torchserve, *overrides, "gateway.upstream.attempts=1")) as http:
        statuses = [(await http.post("/predictions/m", content=b"x")).status_code for _ in range(6)]
        assert statuses == [502, 502, 502, 503, 503, 503]
        assert len(torchserve.requests) == 3
        answer = await http.post("/predictions/m", content=b"x")
        assert answer.headers["retry-after"] == "1"
        torchserve.answer = ANSWER
        for _ in range(100):
            if (await http.post("/predictions/m", content=b"x")).status_code == 200:
                break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("it was not tried again")


async def test_a_refused_connection_is_tried_for_a_second_at_most_and_then_told() -> None:
    torchserve = FakeTorchServe(REFUSED)
    overrides = ("gateway.upstream.attempts=1000", "gateway.upstream.breaker_failures=1000")
    async with client(application(torchserve, *overrides)) as http:
        assert (await http.post("/predictions/m", content=b"x")).status_code == 502
    # Pauses of 0.05 s, 0.1 s, 0.2 s, 0.4 s and at most 0.05 s more each fit into it.
    assert 2 <= len(torchserve.requests) <= 5


async def test_a_probe_that_tells_nothing_leaves_the_breaker_as_it_is() -> None:
    """A client that asks for a tiny deadline neither opens nor closes it."""
    torchserve = FakeTorchServe(REFUSED)
    overrides = ("breaker_failures=2", "breaker_open_s=1e-9", "attempts=1")
    async with client(application(torchserve, *(f"gateway.upstream.{each}" for each in overrides))) as http:
        for _ in range(2):
            assert (await http.post("/predictions/m", content=b"x")).status_code == 502
        torchserve.hangs = True
        tiny = {"X-Request-Timeout": "0.05"}
        assert (await http.post("/predictions/m", content=b"x", headers=tiny)).status_code == 504
        torchserve.hangs, torchserve.answer = False, ANSWER
        assert (await http.post("/predictions/m", content=b"x")).status_code == 200
        torchserve.hangs = True
        for _ in range(4):
            assert (await http.post("/predictions/m", content=b"x", headers=tiny)).status_code == 504


async def test_errors_of_the_model_do_not_open_the_breaker() -> None:
    torchserve = FakeTorchServe(HANDLER_FAILED)
    async with client(application(torchserve, "gateway.upstream.breaker_failures=2")) as http:
        statuses = {(await http.post("/predictions/m", content=b"x")).status_code for _ in range(6)}
    assert statuses == {502}


@pytest.mark.slow
async def test_a_client_may_ask_for_a_shorter_deadline_and_not_for_a_longer_one() -> None:
    async with client(application(FakeTorchServe(hangs=True), "gateway.deadline_s=0.5")) as http:
        for asked in ("0.05", "3600"):
            response = await http.post("/predictions/m", content=b"x", headers={"X-Request-Timeout": asked})
            assert response.status_code == 504


@pytest.mark.parametrize("asked", ["soon", "0", "-1", "nan", ""])
async def test_a_deadline_that_is_no_time_is_named(asked: str) -> None:
    torchserve = FakeTorchServe()
    async with client(application(torchserve)) as http:
        response = await http.post("/predictions/m", content=b"x", headers={"X-Request-Timeout": asked})
    assert response.status_code == 400
    assert f"X-Request-Timeout is {asked!r}" in response.json()["detail"]
    assert torchserve.requests == []


async def test_a_gateway_that_stops_finishes_what_it_admitted_and_admits_nothing_new() -> None:
    torchserve = SlowTorchServe()
    app = application(torchserve, *LIMITS)
    async with client(app) as http:
        admitted = [asyncio.create_task(http.post("/predictions/m", content=b"1")) for _ in range(4)]
        await until(lambda: len(torchserve.received) == 2)
        await until(lambda: app.state.admission.lane("m").waiting == 2)
        app.state.admission.drain()
        refused = await http.post("/predictions/m", content=b"2")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await http.get("/health/ready")).status_code == 503
        assert (await http.get("/health/live")).status_code == 200
        torchserve.release.set()
        assert [(await each).status_code for each in admitted] == [200] * 4


def _waits(lane: Lane, number: int) -> bool:
    return lane.waiting == number


async def test_the_places_are_taken_in_the_order_of_arrival() -> None:
    torchserve = SlowTorchServe()
    app = application(torchserve, "gateway.admission.max_in_flight=1")
    async with client(app) as http:
        waiting = []
        for number in range(6):
            waiting.append(asyncio.create_task(http.post("/predictions/m", content=str(number).encode())))
            lane = app.state.admission.lane("m")
            await until(partial(_waits, lane, number))
        torchserve.release.set()
        await asyncio.gather(*waiting)
    assert torchserve.received == [str(number).encode() for number in range(6)]
