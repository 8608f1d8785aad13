"""What one client does wrong, others do not pay for: their answers stay right, whatever it sends."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.composed_settings import gateway_settings
from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.raw_request import status_of
from tests.served_gateway import gateway, shared_gateway
from torchserve_gateway.gateway.application import create_app

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n" + b'{"Horror": 1.0}'
KILLS = b"kills its connection"


class Mortal:
    """Resets the connection of a body that says so; answers all others, and /ping, while it lives."""

    def __init__(self) -> None:
        self.answers_ping = True
        self.pings = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                headers = head.lower().split(b"\r\n")
                length = next((int(each[15:]) for each in headers if each.startswith(b"content-length:")), 0)
                body = await reader.readexactly(length)
                is_ping = head.startswith(b"GET /ping")
                self.pings += is_ping
                if KILLS in body or (is_ping and not self.answers_ping):
                    writer.transport.abort()
                    return
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def before(torchserve: Mortal, *overrides: str) -> AsyncIterator[httpx.AsyncClient]:
    server = await asyncio.start_server(torchserve.serve, "127.0.0.1", 0)
    url = f"torchserve.inference_url=http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    app = create_app(gateway_settings(url, *overrides))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30) as client,
    ):
        yield client
    server.close()


async def test_connections_that_die_by_what_one_client_sends_open_no_breaker() -> None:
    torchserve = Mortal()
    async with before(torchserve) as client:
        # Alone first, then beside a neighbour.
        for _ in range(12):
            assert (await client.post("/predictions/m", content=KILLS)).status_code == 502
        for _ in range(3):
            attacks = [client.post("/predictions/m", content=KILLS) for _ in range(10)]
            neighbours = [client.post("/predictions/m", content=b"image") for _ in range(10)]
            answers = await asyncio.gather(*attacks, *neighbours)
            assert [answer.status_code for answer in answers] == [502] * 10 + [200] * 10
    assert torchserve.pings


async def test_connections_that_die_with_torchserve_open_it() -> None:
    torchserve = Mortal()
    torchserve.answers_ping = False
    async with before(torchserve, "gateway.upstream.breaker_open_s=3600") as client:
        statuses = [(await client.post("/predictions/m", content=KILLS)).status_code for _ in range(7)]
    assert statuses == [502] * 5 + [503] * 2


async def test_what_never_was_a_request_opens_no_breaker() -> None:
    torchserve = FakeTorchServe(httpx.LocalProtocolError("Illegal header value"))
    async with gateway(torchserve, "gateway.upstream.breaker_failures=2") as client:
        for _ in range(6):
            response = await client.post("/predictions/m", content=b"x")
            assert response.status_code == 400
            assert "Illegal header value" in response.json()["detail"]


ATTACKS = {
    "a model of 5,000 characters": ("/predictions/" + "a" * 5000, {}, 414),
    "a version of 5,000 characters": ("/predictions/m/" + "a" * 5000, {}, 414),
    "a path of 70,000 characters": ("/predictions/" + "!" * 70_000, {}, 414),
    "a type of 9,000 characters": ("/predictions/m", {"content-type": "image/" + "j" * 9000}, 400),
    "a type of the largest size": ("/predictions/m", {"content-type": "image/" + "j" * 1018}, 200),
    "a type of one more": ("/predictions/m", {"content-type": "image/" + "j" * 1019}, 400),
    "a space behind the type": ("/predictions/m", {"content-type": "image/jpeg "}, 200),
    "white space around the type": ("/predictions/m", {"content-type": " \t image/jpeg\t \t"}, 200),
    "a type of another alphabet": ("/predictions/m", {"content-type": "image/j\xfcpeg"}, 400),
    "a type with a line end": ("/predictions/m", {"content-type": "image/jpeg\r\nx: y"}, 400),
    "a type with NUL": ("/predictions/m", {"content-type": "image/jpeg\0"}, 400),
    "a type that is none": ("/predictions/m", {"content-type": "jpeg"}, 400),
    "a type with an open quote": ("/predictions/m", {"content-type": 'text/plain; a="b'}, 400),
    "white space without end": ("/predictions/m", {"content-type": "a/b" + ";  \t " * 200 + "="}, 400),
    "no type": ("/predictions/m", {"content-type": ""}, 200),
    "only white space": ("/predictions/m", {"content-type": " \t"}, 200),
    "parameters": ("/predictions/m", {"content-type": 'a/b; c=d;e="f \\" g;"'}, 200),
    "an empty parameter": ("/predictions/m", {"content-type": "text/plain;"}, 200),
    "a boundary of any characters": (
        "/predictions/m",
        {"content-type": "multipart/form-data; boundary=--=_Part?:/1,(2)"},
        200,
    ),
    "a deadline of white space": ("/predictions/m", {"x-request-timeout": " 5 "}, 200),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_odd_request_is_told_so_and_the_next_one_is_answered(attack: str) -> None:
    path, headers, expected = ATTACKS[attack]
    torchserve = FakeTorchServe()
    settings = gateway_settings("gateway.upstream.breaker_failures=1")
    app = create_app(settings, httpx.MockTransport(torchserve))
    for _ in range(3):
        assert await status_of(app, "POST", path, headers=headers) == expected
        assert await status_of(app, "POST", "/predictions/m") == 200
    for request in torchserve.requests:
        content_type = request.headers["content-type"]
        assert content_type == content_type.strip()


async def test_a_type_that_is_none_is_named_and_cut() -> None:
    async with gateway(FakeTorchServe()) as client:
        for content_type in ("jpeg" * 200, "jpeg" * 2000):
            response = await client.post(
                "/predictions/m", content=b"x", headers={"content-type": content_type}
            )
            assert response.status_code == 400
            assert f"the Content-Type '{'jpeg' * 25}'" in response.json()["detail"]
            assert len(response.json()["detail"]) < 250


IMAGE = SMALL["JPEG"]


@pytest.mark.parametrize("target", ["x" * 101, "x" * 1_000_000, "\0" * 200, ["x" * 200], {"a": "b" * 200}])
async def test_a_target_too_long_for_a_class_is_refused_before_torchserve_sees_it(target: object) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        requests = [{"json": {"data": base64.b64encode(IMAGE).decode(), "target": target}}]
        if isinstance(target, str):
            requests.append({"data": {"target": target}, "files": {"data": ("a.jpg", IMAGE)}})
        for path in ("/explanations/genre", "/explanations/genre/1.0"):
            for request in requests:
                response = await client.post(path, **request)  # type: ignore[arg-type]
                assert response.status_code == 400
                assert "send the name of one of the model's classes" in response.json()["detail"]
                assert len(response.json()["detail"]) < 600
    assert torchserve.requests == []


async def test_a_target_that_may_be_a_class_reaches_torchserve() -> None:
    torchserve = FakeTorchServe()
    async with gateway(torchserve) as client:
        for target in ("Western", "Nonesuch", ""):
            form = {"data": {"target": target}, "files": {"data": ("a.jpg", IMAGE)}}
            assert (await client.post("/explanations/genre", **form)).status_code == 200  # type: ignore[arg-type]
        # Another model's targets are its handler's own.
        assert (await client.post("/explanations/other", json={"target": "x" * 999})).status_code == 200
    assert len(torchserve.requests) == 4
    assert json.loads(torchserve.requests[-1].content)["target"] == "x" * 999
