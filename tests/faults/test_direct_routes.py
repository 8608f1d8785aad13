"""Requests that bypass FastAPI's routing get the same answers, and are counted the same, as with it."""

import asyncio
import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request

from tests.composed_settings import gateway_settings
from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, error
from tests.keys import EVERYTHING, bearer, with_keys, write_keys
from tests.raw_request import http_scope
from torchserve_gateway.gateway import application
from torchserve_gateway.gateway.access.auth import API_KEY, BEARER

IMAGE = SMALL["PNG"]
GONE = {"type": "http.disconnect"}
MAX_BYTES = 50_000
FORM = {"content-type": "multipart/form-data; boundary=b"}
CHANGING = re.compile(rb"(?<=;t=)\d+|(?<=dur=)[\d.]+|(?<=within 0)[\d.]+")


def part(content: bytes, name: bytes = b"file") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a.png"\r\n\r\n' % name
    return head + content + b"\r\n--b--\r\n"


def message(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


# Both applications get the same id.
SAME = {"x-request-id": "the-same", "host": "gateway"}


@dataclass(frozen=True)
class Sent:
    """A request as a server hands it to the application; after its messages the client waits."""

    target: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    messages: Sequence[Mapping[str, Any]] = (message(IMAGE),)


@dataclass(frozen=True)
class Got:
    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    raised: str
    """Class of the exception that the server logs."""


def scope_of(sent: Sent) -> dict[str, Any]:
    return http_scope(sent.method, sent.target, {**SAME, **sent.headers})


async def answer(app: FastAPI, sent: Sent) -> Got:
    left, got, raised = list(sent.messages), list[Any](), ""

    async def receive() -> Any:
        await asyncio.sleep(0)
        return left.pop(0) if left else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        got.append(message)

    try:
        await app(scope_of(sent), receive, send)
    except Exception as exc:  # noqa: BLE001 - a server logs it
        raised = type(exc).__name__
    body = b"".join(each.get("body", b"") for each in got)
    headers = got[0]["headers"] if got else ()
    changing = [(name, CHANGING.sub(b"", value)) for name, value in headers if name != b"retry-after"]
    return Got(got[0]["status"] if got else 0, changing, CHANGING.sub(b"", body), raised)


arrived, let_go = asyncio.Semaphore(0), asyncio.Event()
"""TorchServe has a request of the model `held`; may answer it."""


async def torchserve(request: httpx.Request) -> httpx.Response:
    """Does what the model's name says."""
    answers: dict[str, httpx.Response | Exception] = {
        "failing": error(500, "InternalServerException", "Worker died."),
        "missing": error(404, "ModelNotFoundException", "Model not found: missing"),
        "busy": error(503, "ServiceUnavailableException", "no worker"),
        "bug": RuntimeError("secret"),
        "refused": httpx.ConnectError("refused"),
        "broken": httpx.ReadError("reset"),
        "empty": httpx.Response(204),
        "teapot": httpx.Response(418, content=b"short and stout", headers={"x-handler": "1"}),
        "cookies": httpx.Response(
            200, content=b"\xff", headers=[(b"Set-Cookie", b"a"), (b"set-cookie", b"\xe9"), (b"X-B", b"")]
        ),
    }
    [model] = re.findall("^/predictions/([^/]+)", request.url.path) or [""]
    if model == "slow":
        await asyncio.sleep(0.3)
    if model == "held":
        arrived.release()
        await let_go.wait()
    found = answers.get(model, httpx.Response(200, content=b'{"Horror": 1.0}'))
    if isinstance(found, Exception):
        raise found
    return found


def both(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> tuple[FastAPI, FastAPI]:
    """Two equal applications; the second has FastAPI's routing alone."""

    def app() -> FastAPI:
        settings = gateway_settings(
            f"gateway.max_request_bytes={MAX_BYTES}",
            "gateway.upstream.breaker_failures=1000",
            "gateway.upstream.attempts=1",
            *overrides,
        )
        return application.create_app(settings, httpx.MockTransport(FakeTorchServe(torchserve)))

    direct = app()
    monkeypatch.setattr(application, "DirectRoutes", lambda app, **_: app)
    return direct, app()


async def counted(app: FastAPI, headers: Mapping[str, str]) -> list[str]:
    """Counters by method, route, model, status, caller and error."""
    page = await answer(app, Sent("/metrics", "GET", headers, (message(b""),)))
    assert page.status == 200
    kinds = r"^(gateway_(?:requests|caller_requests|errors)_total|gateway_request_duration_seconds_count).*$"
    return sorted(found.group() for found in re.finditer(kinds, page.body.decode(), re.MULTILINE))


async def check_same(apps: tuple[FastAPI, FastAPI], sents: Iterable[Sent], **key: str) -> list[int]:
    """Sends all to both; returns the statuses."""
    statuses = []
    for sent in sents:
        direct, usual = [await answer(app, sent) for app in apps]
        assert direct == usual, sent
        statuses.append(direct.status)
    direct_counts, usual_counts = [await counted(app, key) for app in apps]
    assert direct_counts == usual_counts
    return statuses


PATHS = [
    *("/predictions/genre", "/predictions/genre/1.0", "/predictions/m", "/predictions/m/1.0", "/predict"),
    *("/predictions/m?a=b", "/predictions/m/", "/predictions/m/1.0/", "/predict/", "/predict?x"),
    *("/predictions", "/predictions/", "/predictions//", "/predictions//m", "/predictions/m//1.0"),
    *(
        "/predictions/m/1.0/x",
        "/predictions/m/1.0//",
        "/Predictions/m",
        "/predictions/./m",
        "/predictions/..",
    ),
    *(
        "/predictions/.",
        "/predictions/...",
        "/predictions/m/..",
        "/predictions/%2e%2e",
        "/predictions/m%2F1.0",
    ),
    *(
        "/predictions/%6d",
        "/predictions/m%00",
        "/predictions/m%0a",
        "/predictions/a%20b",
        "/predictions/%C3%BC",
    ),
    *("/predictions/m%3Fx", "/predictions/m%2f", "/predictions/-._", "/predictions/m;v=1", "/predictions/*"),
    *("/predictions/" + "m" * length for length in (50, 51, 100, 101, 5000)),
    *("/predictions/m/" + "1" * length for length in (50, 51, 100, 101)),
    *("/predict?model=m", "/predict?model=genre", "/predict?model=", "/predict?model", "/predict?model=.."),
    *("/predict?model=m&x=1", "/predict?x&model=m", "/predict?model=m&model=n", "/predict?%6dodel=m"),
    *(
        "/predict?model=%6d",
        "/predict?model=m%2F1",
        "/predict?model=m+",
        "/predict?model=m/",
        "/predict?Model=m",
    ),
    *("/predict?model=" + "m" * length for length in (50, 51, 100, 101, 5000)),
    *("/explanations/m", "/predict/batch", "/models", "/nothing", "/", "*"),
]


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "post", "BREW"]
)
async def test_every_path_and_method(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    statuses = await check_same(both(monkeypatch), [Sent(path, method) for path in PATHS])
    # The page is at "/".
    predicted = [status for path, status in zip(PATHS, statuses, strict=True) if path != "/"]
    assert (200 in predicted) == (method in ("POST", "PUT"))


BODIES = {
    "a form": Sent("/predict", headers=FORM, messages=[message(part(IMAGE))]),
    "a form for another model": Sent("/predict?model=m", headers=FORM, messages=[message(part(IMAGE))]),
    "a raw body for another model": Sent("/predict?model=m", messages=[message(b"text")]),
    "a form for a missing model": Sent(
        "/predict?model=missing", headers=FORM, messages=[message(part(IMAGE))]
    ),
    "an empty file": Sent("/predict", headers=FORM, messages=[message(part(b""))]),
    "another field": Sent("/predict", headers=FORM, messages=[message(part(IMAGE, b"image"))]),
    "no image": Sent("/predict", headers=FORM, messages=[message(part(b"text"))]),
    "half a form": Sent("/predict", headers=FORM, messages=[message(part(IMAGE)[:200])]),
    "a broken image": Sent("/predictions/genre", messages=[message(IMAGE[:20])]),
    "text": Sent("/predictions/genre", messages=[message(b"text")]),
    "nothing": Sent("/predictions/genre", messages=[message(b"")]),
    "pieces": Sent(
        "/predictions/genre",
        messages=[message(IMAGE[:9], more=True), message(b"", more=True), message(IMAGE[9:])],
    ),
    "gzip": Sent(
        "/predictions/genre", headers={"content-encoding": "gzip"}, messages=[message(gzip.compress(IMAGE))]
    ),
    "no gzip": Sent("/predictions/m", headers={"content-encoding": "gzip"}),
    "half of gzip": Sent(
        "/predictions/m", headers={"content-encoding": "gzip"}, messages=[message(gzip.compress(IMAGE)[:-9])]
    ),
    "an unknown coding": Sent("/predictions/m", headers={"content-encoding": "br"}),
    "a wrong type": Sent("/predictions/m", headers={"content-type": "no type"}),
    "json": Sent(
        "/predictions/genre", headers={"content-type": "application/json"}, messages=[message(b"{")]
    ),
    "declared too large": Sent("/predictions/m", headers={"content-length": str(MAX_BYTES + 1)}),
    "too large": Sent("/predictions/m", messages=[message(bytes(MAX_BYTES), more=True), message(b"x")]),
    "too large once decoded": Sent(
        "/predictions/m",
        headers={"content-encoding": "gzip"},
        messages=[message(gzip.compress(bytes(MAX_BYTES + 1)))],
    ),
    "a body that stops": Sent("/predictions/m", messages=[message(b"x", more=True)]),
    "a form that stops": Sent("/predict", headers=FORM, messages=[message(part(IMAGE)[:99], more=True)]),
    "a client that leaves within its body": Sent("/predictions/m", messages=[message(b"x", more=True), GONE]),
    "a client that leaves within its form": Sent(
        "/predict", headers=FORM, messages=[message(part(IMAGE)[:99], more=True), GONE]
    ),
    "a client that leaves before its body": Sent("/predictions/m", messages=[GONE]),
    "a client that leaves while it waits": Sent("/predictions/slow", messages=[message(b"x"), GONE]),
    "a deadline that is no number": Sent("/predictions/m", headers={"x-request-timeout": "soon"}),
    "a deadline of 0": Sent("/predictions/m", headers={"x-request-timeout": "0"}),
    "a deadline": Sent("/predictions/slow", headers={"x-request-timeout": "0.05"}),
    "a web page's request": Sent("/predictions/m", headers={"origin": "https://app.example.com"}),
    "another web page's request": Sent("/predictions/m", headers={"origin": "https://other.example.com"}),
    "an expectation": Sent("/predictions/m", headers={"cache-control": "no-store", "x-custom": "\xe9"}),
}
OUTCOMES = ("failing", "missing", "busy", "bug", "refused", "broken", "empty", "teapot", "cookies")


async def test_every_kind_of_body_and_client(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = both(
        monkeypatch,
        "gateway.body_timeout_s=0.05",
        "gateway.cors.allow_origins=['https://app.example.com']",
        "gateway.admission.max_in_flight=50",
    )
    statuses = await check_same(apps, BODIES.values())
    by_name = dict(zip(BODIES, statuses, strict=True))
    assert {200, 400, 408, 413, 415, 422, 499, 504} <= set(statuses), by_name


@pytest.mark.parametrize("version", ["", "/1.0"])
async def test_every_answer_of_torchserve_and_an_unforeseen_exception(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    apps = both(monkeypatch)
    sents = [Sent(f"/predictions/{model}{version}") for model in OUTCOMES]
    statuses = dict(zip(OUTCOMES, await check_same(apps, sents), strict=True))
    assert statuses["bug"] == 500
    assert statuses["cookies"] == 200
    for app in apps:
        got = await answer(app, Sent("/predictions/bug"))
        assert got.raised == "RuntimeError"
        assert b"secret" not in got.body
        assert [value for name, value in got.headers if name == b"x-request-id"] == [b"the-same"]


async def test_a_gateway_that_drains_or_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = both(monkeypatch, "gateway.admission.max_in_flight=1", "gateway.admission.max_waiting=0")
    let_go.clear()
    busy = [asyncio.create_task(answer(app, Sent("/predictions/held"))) for app in apps]
    for _ in apps:
        await arrived.acquire()
    assert await check_same(apps, [Sent("/predictions/held"), Sent("/predictions/held/1.0")]) == [503, 503]
    let_go.set()
    assert [(await each).status for each in busy] == [200, 200]
    for app in apps:
        app.state.admission.drain()
    assert await check_same(apps, [Sent("/predictions/m")]) == [503]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    return write_keys(
        tmp_path / "keys.json",
        all=EVERYTHING,
        models=("models",),
        one=("predict",),
        two=("predict",),
        only_m=("predict:m",),
    )


def ways(key: str) -> list[dict[str, str]]:
    """Ways to present a key, right and wrong."""
    authorizations = [
        *(
            f"Bearer {key}",
            f"bearer {key}",
            f"BEARER {key}",
            f"Bearer  {key}",
            f"Bearer {key} ",
            f"Bearer\t{key}",
        ),
        *(f"Basic {key}", key, f"Bearer{key}", "Bearer", "Bearer ", "", " ", f"Bearer {key} {key}"),
        *(f"Bearer {key}\xe9", f"Bearer {key[:-1]}", f"Bearer {key}x", f"Bearer, {key}", f" Bearer {key}"),
    ]
    headers = [{"authorization": each} for each in authorizations]
    headers += [{"x-api-key": each} for each in (key, f" {key}", f"{key} ", "", "wrong", f"Bearer {key}")]
    headers += [
        {"authorization": each, "x-api-key": key} for each in ("", "Bearer", "Bearer x", "Basic x", key)
    ]
    return [*headers, {}]


async def test_every_way_to_present_a_key(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], tmp_path: Path
) -> None:
    overrides = with_keys(tmp_path / "keys.json")
    apps = both(monkeypatch, *overrides, "gateway.rate_limit.failed_keys_per_address=10000/minute")
    presented = [headers for key in (keys["one"], keys["models"]) for headers in ways(key)]
    paths = ("/predictions/m", "/predictions/m/1.0", "/predict", "/predictions/.")
    sents = [Sent(path, headers=headers) for headers in presented for path in paths]
    statuses = await check_same(apps, sents, **bearer(keys["all"]))
    assert set(statuses) == {200, 400, 401, 403, 404}
    for headers in presented:
        status = (await answer(apps[0], Sent("/predictions/m", headers=headers))).status
        # Outer middleware trims values.
        trimmed = {name: value.strip() for name, value in headers.items()}
        request = Request(scope_of(Sent("/", headers=trimmed)))
        credentials, key = await BEARER(request), await API_KEY(request)
        found = (credentials.credentials if credentials else key) or ""
        assert status == {keys["one"]: 200, keys["models"]: 403}.get(found, 401), headers


async def test_a_key_for_one_model_opens_that_model_alone(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], tmp_path: Path
) -> None:
    apps = both(monkeypatch, *with_keys(tmp_path / "keys.json"))
    allowed = (
        "/predictions/m",
        "/predictions/m/1.0",
        "/predict?model=m",
        "/predict?x&model=m",
        "/predict?%6dodel=m",
    )
    refused = (
        *(
            "/predictions/n",
            "/predictions/n/m",
            "/predictions/mm",
            "/predict",
            "/predict?model=",
            "/predict?x",
        ),
        *(
            "/predict?model=n",
            "/predict?model=m&model=n",
            "/predict?model=m%20",
            "/predictions/m%2F",
            "/predict?Model=m",
        ),
    )
    sents = [Sent(path, headers=bearer(keys["only_m"])) for path in (*allowed, *refused)]
    statuses = await check_same(apps, sents, **bearer(keys["all"]))
    assert statuses[: len(allowed)] == [200] * len(allowed)
    assert set(statuses[len(allowed) :]) <= {403, 404}


async def test_limits_of_keys_and_addresses(
    monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], tmp_path: Path
) -> None:
    overrides = with_keys(tmp_path / "keys.json")
    limits = ("gateway.rate_limit.per_key=3/day", "gateway.rate_limit.failed_keys_per_address=4/day")
    apps = both(monkeypatch, *overrides, *limits)
    sents = [
        Sent("/predictions/m", headers=bearer(keys[name])) for name in ("one", "two", "one", "one", "one")
    ]
    sents += [Sent("/predictions/m", headers=bearer("wrong"))] * 6
    statuses = await check_same(apps, sents, **bearer(keys["all"]))
    assert statuses == [200, 200, 200, 200, 429, 401, 401, 401, 401, 429, 429]


async def test_limits_of_addresses_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    apps = both(monkeypatch, "gateway.rate_limit.per_address=4/day")
    sents = [Sent(path) for path in ("/predictions/m", "/predict", "/predictions/m/1", "/predictions/.")]
    answers = [[(await answer(app, sent)) for sent in [*sents, *sents]] for app in apps]
    assert answers[0] == answers[1]
    assert [got.status for got in answers[0]].count(429) == 4


async def test_a_lifespan_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    direct, _ = both(monkeypatch)
    async with direct.router.lifespan_context(direct):
        assert (await answer(direct, Sent("/predictions/m"))).status == 200


async def test_a_connection_that_is_no_request_is_left_to_the_application(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uvicorn is told to make none; another server may."""
    results = []
    for app in both(monkeypatch):
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = scope_of(Sent("/predictions/m")) | {"type": "websocket", "subprotocols": []}
        del scope["method"]
        with suppress(RuntimeError):
            await app(scope, receive, send)
        results.append(sent)
    assert results[0] == results[1] != []
