"""Whatever a path holds, the requests that leave the gateway are the few that it is meant to send."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from tests.raw_request import status_of
from tests.served_gateway import gateway, shared_gateway
from torchserve_gateway.gateway.application import create_app

# In a URL, with the segment that it stands for.
ODD_SEGMENTS = [
    "..",
    ".",
    "%2e%2e",
    "%2E.",
    "%2e",
    "..%2f",
    "..%2fmodels",
    "%252e%252e",
    "..%5c",
    "..\\",
    "..;",
    "a;b=c",
    "%3f",
    "a%23b",
    "a%00",
    "%0d%0aX-A:%20b",
    "a%20b",
    "%c3%bc",
    "%ff",
    "a%2fb",
    "%21" * 20,
]
SENT = re.compile(
    rb"(POST /(predictions|explanations)/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?|GET /ping|"
    rb"GET /models/[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)?) HTTP/1\.1"
)


def routes_with_names() -> list[tuple[str, str]]:
    """Method and path of all routes with a model or version in them."""
    app = create_app(gateway_settings(), httpx.MockTransport(FakeTorchServe()))
    return [
        (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method in methods
        if "{" in path
    ]


ROUTES = routes_with_names()


def filled(path: str, model: str, version: str = "1.0") -> str:
    return path.replace("{model}", model).replace("{version}", version)


def test_the_routes_are_found() -> None:
    assert len(ROUTES) >= 17
    assert {name for _, path in ROUTES for name in re.findall(r"{(\w+)}", path)} == {"model", "version"}


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_route_refuses_what_is_no_name(method: str, path: str) -> None:
    torchserve = FakeTorchServe()
    async with gateway(torchserve) as client:
        for odd in ("a%20b", "%c3%bc", "a;b", "a%25", "%2e%2e", "%2e", "a" * 200 + "!"):
            for url in {filled(path, odd), filled(path, "m", odd)} - {filled(path, "m")}:
                response = await client.request(method, url, content=b"x")
                assert response.status_code in (404, 414), url
                assert len(response.json()["detail"]) < 400
        for characters, url in ((101, filled(path, "a" * 101)), (51, filled(path, "m", "a" * 51))):
            if url != filled(path, "m"):
                response = await client.request(method, url, content=b"x")
                assert response.status_code == 414
                assert f"has {characters} characters" in response.json()["detail"]
    assert torchserve.requests == []


@pytest.mark.parametrize("characters", ["!", "a", "%21", "%c3%bc", "/"])
async def test_no_path_is_too_long_for_an_answer(characters: str) -> None:
    app = create_app(gateway_settings(), httpx.MockTransport(FakeTorchServe()))
    for method, path in ROUTES:
        url = filled(path, characters * 22_000, characters * 22_000)
        assert 300 < await status_of(app, method, url) < 500


async def test_a_name_that_is_none_is_named() -> None:
    async with gateway(FakeTorchServe()) as client:
        answer = (await client.post("/predictions/a%20b", content=b"x")).json()
    assert answer["detail"] == "there is no model 'a b': a name has letters, digits, '_', '-' and '.' only"
    assert answer["type"] == "ModelNotFoundException"


@pytest.mark.parametrize("name", ["_m", "-m", ".m", "m..1", "...", "1", "a" * 100])
async def test_names_that_torchserve_can_serve_reach_it(name: str) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        assert (await client.post(f"/predictions/{name}", content=b"x")).status_code == 200
    assert [request.url.raw_path for request in torchserve.requests] == [f"/predictions/{name}".encode()]


class RecordingServer:
    """Answers every request and keeps its request line. url: where it listens."""

    def __init__(self) -> None:
        self.url = ""
        self.lines: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.lines.append(head.partition(b"\r\n")[0])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def equal_addresses() -> AsyncIterator[tuple[FastAPI, RecordingServer]]:
    """A gateway whose TorchServe has its Management API beside the Inference API."""
    recording = RecordingServer()
    server = await asyncio.start_server(recording.serve, "127.0.0.1", 0)
    recording.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    urls = [f"torchserve.{api}_url={recording.url}" for api in ("inference", "management")]
    yield create_app(gateway_settings(*urls)), recording
    server.close()


@pytest.mark.slow
async def test_no_path_reaches_another_one_of_torchserve_even_where_both_apis_have_one_address() -> None:
    """Code would run by `POST /models?url=...`, which TorchServe has at this address."""
    async with equal_addresses() as (app, torchserve):
        for method, path in ROUTES:
            for odd in ODD_SEGMENTS:
                for url in (filled(path, odd), filled(path, "m", odd)):
                    assert await status_of(app, method, url) != 500, url
                    await status_of(app, method, f"{url}/models?url=http://evil/x.mar")
        for line in torchserve.lines:
            assert SENT.fullmatch(line), line
            assert b"/../" not in line
            assert not line.startswith(b"POST /models")


@pytest.mark.parametrize(
    "path", ["/predictions/../models", "/predictions/%2e%2e/models", "/predictions/..%2fmodels"]
)
async def test_code_cannot_be_registered_through_a_prediction(path: str) -> None:
    async with equal_addresses() as (app, torchserve):
        assert await status_of(app, "POST", f"{path}?url=http://evil/x.mar") == 404
        assert torchserve.lines == []


@pytest.mark.slow
async def test_no_number_of_invented_names_makes_metrics_or_lanes_grow() -> None:
    app = create_app(gateway_settings(), httpx.MockTransport(FakeTorchServe()))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:

        async def invent(numbers: range) -> None:
            for number in numbers:
                kinds = (
                    ("POST", f"/predictions/m{number}"),
                    ("POST", f"/predictions/genre/v{number}"),
                    ("POST", f"/explanations/m{number}/v{number}"),
                    ("POST", f"/v2/models/m{number}/infer"),
                    ("POST", f"/predictions/{number}%20x"),
                    ("GET", f"/nowhere/{number}"),
                    (f"METHOD{number}", f"/predictions/m{number}"),
                )
                method, path = kinds[number % len(kinds)]
                await client.request(method, path, content=b"x", headers={f"x-{number}": "x"})

        async def series() -> set[str]:
            lines = (await client.get("/metrics")).text.splitlines()
            return {line.rpartition(" ")[0] for line in lines}

        await invent(range(14))
        await series()
        before = await series()
        await invent(range(1000, 2000))
        assert await series() == before
        assert set(app.state.admission.lanes) <= {"", "genre"}
