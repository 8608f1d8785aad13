"""Bodies of failed requests are freed at once, not when Python looks for cycles."""

import asyncio
import gc
import json
import tracemalloc
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from time import monotonic

import httpx
import pytest
from fastapi import FastAPI

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import error
from tests.raw_request import status_of
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.record.record import DeployedModel, Record

BODY_BYTES = 2_000_000
# What arrives is this one; each request makes its own from it.
BODY = bytes(BODY_BYTES)
OCTETS = "application/octet-stream"
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
    b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n',
)
OPEN = ("gateway.upstream.breaker_failures=1", "gateway.upstream.breaker_open_s=3600")
Answer = httpx.Response | Exception
SETTLE_S = 20


@pytest.fixture(autouse=True)
def without_collection() -> Iterator[None]:
    """Nothing but reference counts frees memory."""
    gc.disable()
    yield
    tracemalloc.stop()
    gc.enable()


def application(answer: Answer, *overrides: str) -> FastAPI:
    async def torchserve(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            # A new one, as httpx raises them.
            raise type(answer)(*answer.args)
        return httpx.Response(answer.status_code, content=answer.content)

    return create_app(gateway_settings(*overrides), httpx.MockTransport(torchserve))


async def status(app: FastAPI, path: str, body: bytes, content_type: str) -> int:
    return await status_of(app, "POST", path, body, {"content-type": content_type})


async def kept_bytes(ask: Callable[[], Awaitable[int]], times: int, expected: int) -> int:
    """Bytes in use after these requests that were not in use after the first two.

    A thread that checked an image may still be about to let go of it.
    """
    for _ in range(2):
        assert await ask() == expected
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(times):
        assert await ask() == expected
    give_up = monotonic() + SETTLE_S
    while (  # noqa: ASYNC110 - freed memory is no event
        kept := tracemalloc.get_traced_memory()[0] - before
    ) >= BODY_BYTES and monotonic() < give_up:
        await asyncio.sleep(0.01)
    return kept


@pytest.mark.parametrize("requests", [20, pytest.param(500, marks=pytest.mark.long)])
async def test_requests_that_the_open_breaker_refuses_leave_nothing(requests: int) -> None:
    app = application(httpx.ConnectError("refused"), *OPEN, "gateway.upstream.attempts=1")
    assert await status(app, "/predictions/m", b"x", OCTETS) == 502

    async def refused() -> int:
        return await status(app, "/predictions/m", BODY, OCTETS)

    assert await kept_bytes(refused, requests, 503) < BODY_BYTES


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.ConnectError("refused"), 502),
        (httpx.ReadError("reset"), 502),
        (httpx.LocalProtocolError("Illegal header value"), 400),
        (error(503, "ServiceUnavailableException", "no worker"), 503),
        (error(503, "InternalServerException", "Prediction failed"), 502),
        (error(404, "ModelNotFoundException", "Model not found"), 404),
        (httpx.Response(413), 413),
        (httpx.Response(200, content=b"{}"), 200),
    ],
)
async def test_whatever_torchserve_says_no_body_is_kept(answer: Answer, expected: int) -> None:
    app = application(answer, "gateway.upstream.breaker_failures=1000")

    async def asked() -> int:
        return await status(app, "/predictions/m", BODY, OCTETS)

    assert await kept_bytes(asked, 5, expected) < BODY_BYTES


def form(start: bytes) -> tuple[bytes, str]:
    return start + BODY + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


def v1() -> tuple[bytes, str]:
    image = b64encode(bytes(BODY_BYTES * 3 // 4 - 100)).decode()
    return json.dumps({"instances": [{"data": image}]}).encode(), "application/json"


def v2() -> tuple[bytes, str]:
    image = b64encode(bytes(BODY_BYTES * 3 // 4 - 100)).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [image]}
    return json.dumps({"inputs": [tensor]}).encode(), "application/json"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", lambda: form(FORM[0])),
        ("/predict/batch", lambda: form(FORM[1])),
        ("/predictions/genre", lambda: (BODY, OCTETS)),
        ("/predictions/genre", lambda: (bytes(7_000_000), OCTETS)),
        ("/predictions/genre", lambda: (BODY, "no type")),
        ("/predictions/other/1.0", lambda: (BODY, OCTETS)),
        ("/explanations/other", lambda: (BODY, OCTETS)),
        ("/v1/models/other:predict", v1),
        ("/v2/models/other/infer", v2),
    ],
)
async def test_on_no_route_a_failed_request_leaves_its_body(
    path: str, body: Callable[[], tuple[bytes, str]]
) -> None:
    app = application(httpx.ConnectError("refused"), *OPEN, "gateway.cache.enabled=true")

    async def asked() -> int:
        return await status(app, path, *body())

    # The first one opens the breaker.
    await asked()
    expected = await asked()
    assert await kept_bytes(asked, 3, expected) < BODY_BYTES


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_failed_prediction_that_others_could_share_leaves_no_body(attempts: int) -> None:
    overrides = ("gateway.cache.enabled=true", f"gateway.upstream.attempts={attempts}")
    app = application(httpx.ReadError("reset"), *overrides, "gateway.upstream.breaker_failures=1000")
    app.state.routing.record = Record(revision=1, models={"other": DeployedModel(serving=VERSION)})

    async def asked() -> int:
        return await status(app, "/predictions/other", BODY, OCTETS)

    assert await kept_bytes(asked, 3, 502) < BODY_BYTES
