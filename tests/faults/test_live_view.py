"""Streams of the live view: few, and they end when their client goes or the gateway stops."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, described, version
from tests.processes import until
from tests.served_gateway import gateway, served_gateway
from tests.shown_blocks import shown_block
from torchserve_gateway.gateway.live import routes
from torchserve_gateway.gateway.live.streams import MAX_STREAMS


def answered(request: httpx.Request) -> httpx.Response:
    if request.url.path.startswith("/models/"):
        return described(version("1.0", ready=1, workers=2))
    return httpx.Response(200, json={"Horror": 1.0})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[uvicorn.Server]:
    with served_gateway(FakeTorchServe(answered), f"torchserve.deployments_dir={tmp_path}") as server:
        yield server
        # As a signal does; a stream would hold the server until its time is over.
        server.config.app.state.admission.drain()  # type: ignore[union-attr]


def client(server: uvicorn.Server) -> httpx.Client:
    url = f"http://{server.config.host}:{server.config.port}"
    return httpx.Client(base_url=url, trust_env=False, timeout=30)


def events(response: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in response.iter_lines():
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


def sample_of_the_page() -> tuple[list[str], Any]:
    """The names of the events that docs/page.md shows, and its sample."""
    shown = shown_block("docs/page.md", "$ curl -sN http://127.0.0.1:5003/live/events")
    names = [line.removeprefix("event: ") for line in shown.splitlines() if line.startswith("event: ")]
    return names, json.loads(shown.rpartition("\ndata: ")[2])


@pytest.mark.slow
def test_a_stream_begins_with_the_history_and_goes_on_with_samples(server: uvicorn.Server) -> None:
    with client(server) as http, http.stream("GET", "/live/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        followed = events(stream)
        assert next(followed)[0] == "history"
        http.put("/predictions/genre", content=SMALL["PNG"])
        http.put("/predictions/genre", content=b"no image")
        samples = (data for name, data in followed if name == "sample")
        counted = next(each for each in samples if each["images_per_s"] and each["latency_ms"]["p50"])
        names, shown = sample_of_the_page()
        assert names == ["history", "sample"]
        assert list(counted) == list(shown)
        assert list(counted["latency_ms"]) == list(shown["latency_ms"])
        assert {tuple(each) for each in counted["versions"].values()} == {
            tuple(each) for each in shown["versions"].values()
        }
        # The Management API is asked while there is a view.
        assert next(each["workers"] for each in samples if each["workers"]) == {"genre 1.0": "1/2"}
    with client(server) as http, http.stream("GET", "/live/events") as stream:
        _, history = next(events(stream))
        assert sum(each["errors"].get("UnsupportedFormatError", 0) for each in history) == 1


@pytest.mark.slow
def test_streams_are_bounded_and_a_closed_stream_leaves_its_place(server: uvicorn.Server) -> None:
    with client(server) as http, ExitStack() as streams:
        opened = [streams.enter_context(http.stream("GET", "/live/events")) for _ in range(MAX_STREAMS)]
        assert {each.status_code for each in opened} == {200}
        refused = http.get("/live/events")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert refused.json()["detail"] == "16 live views are open, which is the limit; close one"
        opened[0].close()

        def is_admitted() -> bool:
            with http.stream("GET", "/live/events") as stream:
                return stream.status_code == 200

        until(is_admitted)


@pytest.mark.slow
def test_streams_end_when_the_gateway_drains(server: uvicorn.Server) -> None:
    with client(server) as http, http.stream("GET", "/live/events") as stream:
        server.config.app.state.admission.drain()  # type: ignore[union-attr]
        names = [name for name, _ in events(stream)]
    assert names[0] == "history"


async def test_without_a_running_gateway_there_is_only_history() -> None:
    async with gateway(FakeTorchServe()) as http:
        answer = await http.get("/live/events")
    assert answer.text == "event: history\ndata: []\n\n"


async def test_a_client_that_does_not_read_loses_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "SEND_S", 0.01)

    async def never_read(_: object) -> None:
        await asyncio.Event().wait()

    async def connected() -> dict[str, str]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    stream = routes.EventStream(iter(["event: history\n\n"]))
    scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "method": "GET", "path": "/"}
    async with asyncio.timeout(30):
        await stream(scope, connected, never_read)
