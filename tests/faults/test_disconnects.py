"""A client that leaves ends its request, not its job; a cancellation by anyone else is not the client's."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from tests.raw_request import http_scope
from tests.scripted_server import until
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.gateway.intake.disconnects import CancelOnDisconnect
from torchserve_gateway.gateway.telemetry.request_context import SCOPE_KEY, RequestContext

GONE = {"type": "http.disconnect"}
BODY = {"type": "http.request", "body": b"x", "more_body": False}
START = {"type": "http.response.start", "status": 200, "headers": []}
END = {"type": "http.response.body", "body": b"ok"}
Inner = Callable[[Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


class Client:
    """The server's side of a request: its messages come, and the client leaves, when the test says so."""

    def __init__(self, *messages: Any) -> None:
        self.left = list(messages or (BODY,))
        self.gone = asyncio.Event()
        self.sent: list[Any] = []
        self.context = RequestContext("id")

    async def receive(self) -> Any:
        if self.left:
            return self.left.pop(0)
        await self.gone.wait()
        return GONE

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    def asks(self, app: Any, headers: Mapping[str, str] | None = None) -> "asyncio.Task[None]":
        scope = http_scope("POST", "/predictions/m", headers or {}) | {SCOPE_KEY: self.context}
        return asyncio.create_task(app(scope, self.receive, self.send))


def around(inner: Inner) -> CancelOnDisconnect:
    async def app(_: Any, receive: Any, send: Any) -> None:
        await inner(receive, send)

    return CancelOnDisconnect(app)


class SlowTorchServe:
    """Answers predictions when it is told to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.received = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/predictions/"):
            self.received += 1
            await self.release.wait()
        return httpx.Response(200, content=b"{}")


def application(torchserve: Any, *overrides: str) -> FastAPI:
    settings = gateway_settings("gateway.admission.max_in_flight=1", *overrides)
    return create_app(settings, httpx.MockTransport(FakeTorchServe(torchserve)))


async def counted(app: FastAPI, status: int) -> float:
    """Requests to the route that ended with a status."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        page = (await http.get("/metrics")).text
    lines = [line for line in page.splitlines() if line.startswith("gateway_requests_total{")]
    return sum(float(line.split()[-1]) for line in lines if f'status="{status}"' in line)


async def test_a_client_that_leaves_while_its_job_runs_is_a_499_and_the_job_keeps_its_slot() -> None:
    torchserve, client = SlowTorchServe(), Client()
    app = application(torchserve)
    asking = client.asks(app)
    await until(lambda: torchserve.received)
    client.gone.set()
    await asking
    assert client.sent == []
    assert not asking.cancelled()
    assert await counted(app, 499) == 1
    lane = app.state.admission.lane("m")
    assert lane.in_flight == 1
    torchserve.release.set()
    await until(lambda: lane.in_flight == 0)
    following = Client()
    await following.asks(app)
    assert following.sent[0]["status"] == 200


async def test_a_client_that_leaves_while_it_waits_for_a_slot_is_never_sent() -> None:
    torchserve, first, leaving = SlowTorchServe(), Client(), Client()
    app = application(torchserve)
    asking = first.asks(app)
    await until(lambda: torchserve.received)
    waiting, lane = leaving.asks(app), app.state.admission.lane("m")
    await until(lambda: lane.waiting == 1)
    leaving.gone.set()
    await waiting
    assert (lane.waiting, lane.in_flight) == (0, 1)
    torchserve.release.set()
    await asking
    await until(lambda: lane.in_flight == 0)
    assert (first.sent[0]["status"], leaving.sent, torchserve.received) == (200, [], 1)
    assert await counted(app, 499) == 1


async def test_a_shutdown_while_a_job_runs_is_not_swallowed_and_the_job_keeps_its_slot() -> None:
    torchserve, client = SlowTorchServe(), Client()
    app = application(torchserve)
    asking = client.asks(app)
    await until(lambda: torchserve.received)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert app.state.admission.lane("m").in_flight == 1
    torchserve.release.set()
    await until(lambda: app.state.admission.lane("m").in_flight == 0)


@pytest.mark.parametrize("late_s", [-0.01, 0, 0.01])
async def test_a_disconnect_about_the_deadline_ends_the_request_once(late_s: float) -> None:
    torchserve, client = SlowTorchServe(), Client()
    app = application(torchserve)
    loop = asyncio.get_running_loop()
    asking = client.asks(app, headers={"x-request-timeout": "0.1"})
    loop.call_later(0.1 + late_s, client.gone.set)
    await asking
    # Nothing of an answer, or the whole of it.
    types = [message["type"] for message in client.sent]
    assert types == (["http.response.start", "http.response.body"] if types else [])
    assert await counted(app, 504 if types else 499) == 1
    assert app.state.admission.lane("m").in_flight == 1
    torchserve.release.set()
    await until(lambda: app.state.admission.lane("m").in_flight == 0)


@pytest.mark.parametrize("first", ["the deadline", "the disconnect"])
async def test_of_a_deadline_and_a_disconnect_at_the_same_moment_the_disconnect_counts(first: str) -> None:
    client, waits = Client(), asyncio.Event()

    async def works(receive: Any, _: Any) -> None:
        await receive()
        async with asyncio.timeout(None) as deadline:
            loop = asyncio.get_running_loop()
            now = loop.time()
            # Both before the request runs again.
            steps = [lambda: deadline.reschedule(now), client.gone.set]
            for step in steps if first == "the deadline" else reversed(steps):
                step()
            waits.set()
            await asyncio.Event().wait()

    asking = client.asks(around(works))
    await waits.wait()
    await asking
    assert client.context.status == 499


async def test_a_disconnect_after_the_answer_changes_nothing() -> None:
    client, ended = Client(), asyncio.Event()

    async def works(receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(END)
        client.gone.set()
        # What runs behind the answer is not cancelled.
        await asyncio.sleep(0.02)
        ended.set()

    await client.asks(around(works))
    assert client.sent == [START, END]
    assert ended.is_set()
    assert client.context.status == 500  # As it was: the middleware outside sets the answer's.


async def test_a_disconnect_within_the_answer_cancels() -> None:
    client = Client()

    async def works(receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        client.gone.set()
        await asyncio.Event().wait()

    await client.asks(around(works))
    assert len(client.sent) == 2
    assert client.context.status == 499


async def test_nobody_watches_before_the_body_was_read() -> None:
    """The application sees such a disconnect itself, in its body."""
    client = Client({"type": "http.request", "body": b"x", "more_body": True}, GONE)
    seen: list[str] = []

    async def works(receive: Any, _: Any) -> None:
        seen.append((await receive())["type"])
        await asyncio.sleep(0.01)
        seen.append((await receive())["type"])

    await client.asks(around(works))
    assert seen == ["http.request", "http.disconnect"]


async def working_for(client: Client) -> "asyncio.Task[None]":
    """A request whose body has been read, and whose answer does not come."""
    working = asyncio.Event()

    async def works(receive: Any, _: Any) -> None:
        await receive()
        working.set()
        await asyncio.Event().wait()

    asking = client.asks(around(works))
    await working.wait()
    return asking


async def test_a_cancellation_by_the_server_at_the_same_time_is_not_swallowed() -> None:
    client = Client()
    asking = await working_for(client)
    client.gone.set()
    # The disconnect is seen, and has not reached the request yet.
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert asking.cancelled()


async def test_a_cancellation_by_the_server_alone_is_not_swallowed() -> None:
    client = Client()
    asking = await working_for(client)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert client.context.status == 500


async def test_an_exception_of_the_application_passes_though_the_client_has_gone() -> None:
    client = Client()

    async def works(receive: Any, _: Any) -> None:
        await receive()
        client.gone.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while it cleaned up")

    with pytest.raises(ValueError, match="cleaned up"):
        await client.asks(around(works))


async def test_no_watcher_outlives_its_request() -> None:
    async def works(receive: Any, send: Any) -> None:
        await receive()
        await send(START)
        await send(END)

    before = asyncio.all_tasks()
    await asyncio.gather(*(Client().asks(around(works)) for _ in range(20)))
    await until(lambda: asyncio.all_tasks() <= before)


async def test_another_kind_of_connection_passes_unchanged() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend((scope, receive, send))

    client = Client()
    scope = {"type": "lifespan"}
    await CancelOnDisconnect(app)(scope, client.receive, client.send)
    assert seen == [scope, client.receive, client.send]
