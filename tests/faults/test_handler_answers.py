"""What a handler answers is the client's, whatever its status; what a client sends along is the handler's."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, error
from tests.faults import test_caching
from tests.faults.test_overload import until
from tests.served_gateway import gateway, served_gateway, shared_gateway
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.intake.forwarded_headers import MAX_HEADER_BYTES, MAX_HEADERS
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord, Trial

IMAGE = SMALL["PNG"]
BASE64 = base64.b64encode(IMAGE).decode()
THROUGH_TORCHSERVE = {"X-Request-ID": "of TorchServe"}
OWN = b"the handler's own text"
PATHS = ("/predictions/m", "/predictions/m/1.0", "/explanations/m", "/explanations/m/1.0")
# What TorchServe puts on every answer of a handler.
TORCHSERVES = THROUGH_TORCHSERVE | {
    "Pragma": "no-cache",
    "Cache-Control": "no-cache; no-store, must-revalidate, private",
    "Expires": "Thu, 01 Jan 1970 00:00:00 UTC",
    "Connection": "keep-alive, X-Named",
}


def answer(
    status: int, content: bytes = OWN, headers: Mapping[str, str | bytes] | None = None
) -> httpx.Response:
    """A handler's, as TorchServe sends it."""
    raw = [(name, value) for name, value in (TORCHSERVES | dict(headers or {})).items()]
    return httpx.Response(status, content=content, headers=raw)  # type: ignore[arg-type]


def torchserves(status: int, type_: str, message: str) -> httpx.Response:
    """An error of TorchServe itself."""
    answered = error(status, type_, message)
    answered.headers.update(THROUGH_TORCHSERVE)
    return answered


def errors_of_a_handler(status: int) -> list[bytes]:
    """Bodies that are no error of TorchServe's."""
    documents = [
        {"detail": "mine"},
        {"code": status, "message": "mine"},
        {"code": "E17", "type": "ModelNotFoundException", "message": "mine"},
        {"code": status, "type": "MyError", "message": "mine"},
        {"code": status, "type": "ModelNotFoundException", "message": "mine", "more": 1},
        [status],
    ]
    return [b"", OWN, b"null", *(json.dumps(document).encode() for document in documents)]


@pytest.mark.parametrize(
    "status", [201, 302, 400, 401, 404, 405, 409, 413, 422, 429, 500, 502, 503, 507, 599]
)
async def test_a_handlers_answer_passes_unchanged_and_is_asked_for_once(status: int) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        for body in errors_of_a_handler(status):
            torchserve.answer = answer(status, body, {"Content-Type": "text/plain"})
            torchserve.requests.clear()
            for path in PATHS:
                response = await client.post(path, content=b"x")
                assert (response.status_code, response.content) == (status, body)
                assert response.headers["content-type"] == "text/plain"
            assert len(torchserve.requests) == len(PATHS)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none(status: int) -> None:
    with served_gateway(FakeTorchServe(answer(status, b""))) as server:
        url = f"http://127.0.0.1:{server.config.port}/predictions/m"
        async with httpx.AsyncClient() as client:
            for _ in range(2):  # on one connection: nothing is left in it
                response = await client.post(url, content=b"x")
                assert (response.status_code, response.content) == (status, b"")


@pytest.mark.parametrize(("status", "said"), [(101, "101"), (600, "600"), (999, "999")])
async def test_a_status_that_is_no_answers_is_502(status: int, said: str) -> None:
    async with shared_gateway(FakeTorchServe(answer(status))) as client:
        response = await client.post("/predictions/m", content=b"x")
    assert response.status_code == 502
    assert said in response.json()["detail"]


@pytest.mark.parametrize(
    ("answered", "status"),
    [
        (httpx.Response(302, headers={"Location": "http://login"}), 502),
        (httpx.Response(404, content=b"<html>no such page"), 404),
        (httpx.Response(405, content=b"<html>"), 405),
        (httpx.Response(503, content=b"<html>no server is available"), 502),
    ],
)
async def test_an_answer_that_no_handler_gave_is_a_problem(answered: httpx.Response, status: int) -> None:
    """A balancer or a login page in front of TorchServe."""
    torchserve = FakeTorchServe(answered)
    async with shared_gateway(torchserve) as client:
        response = await client.post("/predictions/m", content=b"x")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert len(torchserve.requests) == 1


def deploy(directory: Path, trial: Trial | None = None) -> None:
    serving = VERSION.model_copy(update={"version": "1.0"})
    DeploymentRecord(directory).write("genre", DeployedModel(serving=serving, trial=trial))


@pytest.fixture
async def versions(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, FakeTorchServe]]:
    """A gateway with genre 1.0 on record, without the cache."""
    deploy(tmp_path)
    torchserve = FakeTorchServe()
    async with test_caching.gateway(torchserve, tmp_path, "gateway.cache.enabled=false") as client:
        yield client, torchserve


@pytest.mark.parametrize(("status", "attempts"), [(404, 1), (405, 1), (503, 1)])
async def test_a_handlers_status_is_not_taken_for_torchserves(
    versions: tuple[httpx.AsyncClient, FakeTorchServe], status: int, attempts: int
) -> None:
    """404 is no missing version, 405 no switched-off API, 503 no full queue."""
    client, torchserve = versions
    torchserve.answer = answer(status)
    response = await client.post("/predictions/genre", content=IMAGE)
    assert (response.status_code, response.content) == (status, OWN)
    assert len(torchserve.requests) == attempts


async def test_torchserves_own_404_and_503_are_asked_again(
    versions: tuple[httpx.AsyncClient, FakeTorchServe],
) -> None:
    client, torchserve = versions
    for answered in (
        torchserves(404, "ModelVersionNotFoundException", "Model version: 1.0 does not exist"),
        torchserves(503, "ServiceUnavailableException", "has no worker"),
    ):
        torchserve.answer, torchserve.requests[:] = answered, []
        response = await client.post("/predictions/genre", content=IMAGE)
        assert response.headers["content-type"] == "application/problem+json"
        assert len(torchserve.requests) > 1


async def test_only_an_answer_without_an_error_is_compared_with_a_shadows(tmp_path: Path) -> None:
    deploy(tmp_path, Trial(kind="shadow", version="2.0", share=1))
    torchserve = FakeTorchServe(answer(422))

    def copies() -> list[str]:
        return [request.url.path for request in torchserve.requests if request.url.path.endswith("2.0")]

    async with test_caching.gateway(torchserve, tmp_path, "gateway.cache.enabled=false") as client:
        await client.post("/predictions/genre", content=IMAGE)
        torchserve.answer = lambda request: answer(
            404 if request.url.path.endswith("2.0") else 200, b'{"a": 1}'
        )
        await client.post("/predictions/genre", content=IMAGE)
        await until(lambda: bool(copies()))
        for _ in range(1000):
            metrics = (await client.get("/metrics")).text
            if 'gateway_shadow_copies_total{model="genre",result="failed",version="2.0"} 1.0' in metrics:
                break
        else:
            pytest.fail("the copy that was answered 404 did not count as failed")
    assert len(copies()) == 1


@pytest.mark.parametrize("status", [404, 422, 500, 503])
async def test_where_an_answer_has_a_form_of_its_own_a_handlers_error_is_a_problem(status: int) -> None:
    async with shared_gateway(FakeTorchServe(answer(status, OWN + b"x" * 10_000))) as client:
        alone = await client.post("/predict", files={"file": ("a.png", IMAGE)})
        v1 = await client.post("/v1/models/genre:predict", json={"instances": [{"data": BASE64}]})
        tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [BASE64]}
        v2 = await client.post("/v2/models/genre/infer", json={"inputs": [tensor]})
        batch = await client.post("/predict/batch", files=[("files", ("a.png", IMAGE))])
    for response in (alone, v1, v2):
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert OWN.decode() in response.json()["detail"]
        assert len(response.json()["detail"]) < 400
    [item] = batch.json()
    assert (batch.status_code, item["error"]["status"]) == (200, status)
    assert OWN.decode() in item["error"]["detail"]


async def test_a_redirect_is_no_prediction_of_a_batch() -> None:
    async with gateway(FakeTorchServe(answer(302, b'{"a": 1}'))) as client:
        batch = await client.post("/predict/batch", files=[("files", ("a.png", IMAGE))])
        alone = await client.post("/predict", files={"file": ("a.png", IMAGE)})
    assert batch.json()[0]["error"]["status"] == 502
    assert (alone.status_code, alone.content) == (302, b'{"a": 1}')


async def test_a_handlers_headers_reach_the_client_and_break_none_of_the_gateways() -> None:
    own: dict[str, str | bytes] = {
        "X-My-Header": "caf\u00e9".encode("latin-1"),
        "Content-Disposition": 'attachment; filename="a.json"',
        "Location": "/elsewhere",
        "WWW-Authenticate": "Basic",
        "Retry-After": "7",
    }
    not_passed: dict[str, str | bytes] = {
        "X-Named": "by Connection",
        "Keep-Alive": "timeout=1",
        "Trailer": "X-T",
        "Upgrade": "h2c",
        "Set-Cookie": "session=stolen",
        "Strict-Transport-Security": "max-age=1",
        "Clear-Site-Data": '"*"',
        "Access-Control-Allow-Origin": "*",
        "ts_stream_next": "true",
        "X-Control": b"a\x01b",
        **{name: value for name, value in TORCHSERVES.items() if name != "X-Request-ID"},
    }
    contested = {
        "X-Model-Name": "other",
        "X-Model-Version": "7",
        "Server-Timing": "x;dur=1",
        "Content-Length": "3",
    }
    torchserve = FakeTorchServe(answer(200, OWN, own | not_passed | {"Content-Length": str(len(OWN))}))
    async with gateway(torchserve) as client:
        response = await client.post("/predictions/m", content=b"x")
        for name, value in own.items():
            assert response.headers[name].encode("latin-1") == (
                value if isinstance(value, bytes) else value.encode()
            )
        assert not {name.lower() for name in not_passed} & response.headers.keys()
        torchserve.answer = answer(200, OWN, contested | {"Content-Length": str(len(OWN))})
        response = await client.post("/predictions/m/1.0", content=b"x")
    assert response.content == OWN
    assert response.headers.get_list("x-model-name") == ["m"]
    assert response.headers.get_list("x-model-version") == ["1.0"]
    assert response.headers.get_list("server-timing")[0].startswith("gateway;dur=")
    assert response.headers["x-request-id"] != THROUGH_TORCHSERVE["X-Request-ID"]


async def test_a_content_coding_that_nothing_here_reads_stays_named() -> None:
    async with gateway(FakeTorchServe(answer(200, OWN, {"Content-Encoding": "mine"}))) as client:
        response = await client.post("/predictions/m", content=b"x")
    assert (response.headers["content-encoding"], response.content) == ("mine", OWN)


async def test_a_cookie_that_a_handler_sets_is_sent_with_nobodys_request() -> None:
    torchserve = FakeTorchServe(answer(200, OWN, {"Set-Cookie": "session=1; Path=/"}))
    async with gateway(torchserve) as client:
        for _ in range(2):
            await client.post("/predictions/m", content=b"x", headers={"Cookie": "mine=1"})
    assert not any("cookie" in request.headers for request in torchserve.requests)


HANDLERS = {
    "X-Customer": "a b",
    "aCCept-Language": "de",
    "X_Under": "1",
    "X-Empty": "",
    "User-Agent": "u",
    "Accept": "a/b",
}


async def test_a_clients_headers_reach_the_handler_on_every_path_in_the_clients_case() -> None:
    torchserve = FakeTorchServe(httpx.Response(200, json={"a": 1.0}))
    with served_gateway(torchserve) as server:
        url = f"http://127.0.0.1:{server.config.port}"
        async with httpx.AsyncClient(base_url=url, headers=HANDLERS) as client:
            for path in PATHS:
                await client.post(path, content=b"x")
            await client.post("/predict", files={"file": ("a.png", IMAGE)})
            await client.post("/predict/batch", files=[("files", ("a.png", IMAGE))])
            await client.post("/v1/models/genre:predict", json={"instances": [{"data": BASE64}]})
    assert len(torchserve.requests) == len(PATHS) + 3
    for request in torchserve.requests:
        sent = {name.decode(): value.decode() for name, value in request.headers.raw}
        assert HANDLERS.items() <= sent.items()


NOT_FOR_HANDLERS = (
    *("Authorization", "X-API-Key", "Cookie", "Proxy-Authorization"),
    *("explain", "Explain", "describe", "url_path", "ts_request_sequence_id", "TS_Anything"),
    *("Keep-Alive", "Proxy-Connection", "TE", "Trailer", "X-Named", "X-Routing-Key", "Accept-Encoding"),
)


async def test_what_is_for_the_gateway_or_the_connection_does_not_reach_the_handler() -> None:
    torchserve = FakeTorchServe()
    async with gateway(torchserve) as client:
        for name in NOT_FOR_HANDLERS:
            headers = {name: "secret", "Connection": "close, X-Named", "X-Kept": "1"}
            await client.post("/predictions/m", content=b"x", headers=headers)
    assert len(torchserve.requests) == len(NOT_FOR_HANDLERS)
    for request in torchserve.requests:
        assert "secret" not in str(request.headers.raw)
        assert request.headers["x-kept"] == "1"


async def test_headers_are_bounded_before_the_body_is_read() -> None:
    torchserve = FakeTorchServe()
    too_large = [("X-Large", "a" * MAX_HEADER_BYTES)], [(f"X-{n}", "") for n in range(MAX_HEADERS + 1)]
    async with gateway(torchserve) as client:
        for headers in too_large:
            for path in ("/predictions/m", "/predict"):
                response = await client.post(path, content=b"x", headers=headers)
                assert response.status_code == 431
                assert str(MAX_HEADER_BYTES) in response.json()["detail"]
        cookie = {"Cookie": "c" * 20_000}
        assert (await client.post("/predictions/m", content=b"x", headers=cookie)).status_code == 200
    assert len(torchserve.requests) == 1


@pytest.mark.parametrize("value", [b"a\x01b", b"a\x7fb", b"a\x00b"])
async def test_a_value_that_http_does_not_allow_is_400(value: bytes) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        response = await client.post("/predictions/m", content=b"x", headers=[(b"X-Bad", value)])
    assert response.status_code == 400
    assert "x-bad" in response.json()["detail"]
    assert torchserve.requests == []


async def test_an_answer_over_torchserves_limit_names_the_limit_and_its_setting() -> None:
    died = torchserves(500, "InternalServerException", "Worker died.")
    async with gateway(FakeTorchServe(died), "torchserve.properties.max_response_size=1234") as client:
        response = await client.post("/predictions/m", content=b"x")
    assert response.status_code == 502
    assert "1234 bytes of torchserve.properties.max_response_size" in response.json()["detail"]


async def test_a_handlers_error_is_counted_and_logged_as_one() -> None:
    async with gateway(FakeTorchServe(answer(418))) as client:
        await client.post("/predictions/m", content=b"x")
        metrics = (await client.get("/metrics")).text
    assert 'error="HandlerStatusError"' in metrics
