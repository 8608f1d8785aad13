"""What passes through the gateway is answered as TorchServe answers it: the same status, the same body."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http_client import HTTP
from tests.running_stack import RunningStack
from torchserve_gateway.settings.composition import PROJECT_ROOT

IMAGE = (PROJECT_ROOT / "imgs" / "horror.jpg").read_bytes()
WEBP = (PROJECT_ROOT / "imgs" / "crime.webp").read_bytes()
CURL_DEFAULT = "application/x-www-form-urlencoded"

Request = dict[str, Any]


def request(method: str, path: str, **sent: Any) -> Request:
    return {"method": method, "url": path, **sent}


def put(content: bytes, path: str = "/predictions/genre", **headers: str) -> Request:
    return request("PUT", path, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()})


ANSWERED: dict[str, Request] = {
    "curl -T": put(IMAGE),
    "another format": put(WEBP, content_type="image/webp"),
    "octet-stream": put(IMAGE, content_type="application/octet-stream"),
    "a type that is wrong": put(IMAGE, content_type="image/png"),
    "a type nobody knows": put(IMAGE, content_type="x/y; z=1"),
    "POST": request("POST", "/predictions/genre", content=IMAGE),
    "a form": request("POST", "/predictions/genre", files={"data": ("a b.jpg", IMAGE)}),
    "a form by PUT": request("PUT", "/predictions/genre", files={"data": ("x", IMAGE, "image/jpeg")}),
    "base64 in JSON": request("POST", "/predictions/genre", json={"data": base64.b64encode(IMAGE).decode()}),
    "an image and bytes behind it": put(IMAGE + b"<script>"),
    "percent-encoding": put(IMAGE, "/predictions/g%65nre"),
    "a query": put(IMAGE, "/predictions/genre?a=b"),
    "an explanation": put(IMAGE, "/explanations/genre"),
    "health": request("GET", "/ping"),
}
REFUSED: dict[str, Request] = {
    "no image": put(b"this is text"),
    "HTML": put(b"<html><body>", content_type="image/jpeg"),
    "SVG": put(b"<svg xmlns='http://www.w3.org/2000/svg'/>", content_type="image/svg+xml"),
    "half an image": put(IMAGE[: len(IMAGE) // 2]),
    "a head of an image": put(IMAGE[:200]),
    "rubbish in JSON": request("POST", "/predictions/genre", json={"data": "AAAA"}),
    "an empty object": request("POST", "/predictions/genre", json={}),
    "a form without a file": request("POST", "/predictions/genre", data={"data": "x"}, files={"other": b"y"}),
    "unknown model": put(IMAGE, "/predictions/nonesuch"),
    "unknown version": put(IMAGE, "/predictions/genre/9.9"),
    "unknown model, explained": put(IMAGE, "/explanations/nonesuch"),
}
# Where the gateway is meant to be different: TorchServe's status, ours, and why.
DIFFERENT: dict[str, tuple[Request, int, int, str]] = {
    "curl's own type": (
        put(IMAGE, content_type=CURL_DEFAULT),
        500,
        200,
        "TorchServe takes the image for form fields; curl --data-binary sends that type unasked",
    ),
    "over the limit": (
        put(b"x" * 6_600_000),
        413,
        413,
        "TorchServe says nothing, and reads the whole body first",
    ),
    "an empty body": (put(b""), 400, 400, "TorchServe's handler calls it no image; ours names what to send"),
    "odd name": (
        put(IMAGE, "/predictions/%C3%A9%20x"),
        404,
        404,
        "no model has such a name, so TorchServe is not asked; ours says which characters a name has",
    ),
    "a name of thousands of characters": (
        put(IMAGE, "/predictions/" + "a" * 5000),
        400,
        414,
        "TorchServe closes the connection on a line over 4096 bytes",
    ),
    "a type that is none": (
        put(IMAGE, content_type="jpeg"),
        200,
        400,
        "it is no media type; TorchServe hands such a body to the handler as bytes",
    ),
    "wrong method": (
        request("DELETE", "/predictions/genre"),
        400,
        405,
        "TorchServe calls a method that it does not offer a bad request",
    ),
}


@pytest.fixture(scope="module")
def ask(stack: RunningStack) -> Callable[[Request], tuple[httpx.Response, httpx.Response]]:
    """Sends a request to TorchServe and to the gateway."""
    urls = stack.settings.torchserve.inference_url, stack.settings.gateway.url

    def both(sent: Request) -> tuple[httpx.Response, httpx.Response]:
        first, second = (HTTP.request(**sent | {"url": url + sent["url"]}, timeout=60) for url in urls)
        return first, second

    return both


Ask = Callable[[Request], tuple[httpx.Response, httpx.Response]]


@pytest.mark.parametrize("sent", ANSWERED.values(), ids=ANSWERED.keys())
def test_an_answer_is_torchserves(ask: Ask, sent: Request) -> None:
    torchserve, gateway = ask(sent)
    assert torchserve.status_code == gateway.status_code == 200
    expected, answer = torchserve.json(), gateway.json()
    assert list(answer) == list(expected)
    assert _rounded(answer) == _rounded(expected)
    if "ping" not in sent["url"]:
        assert gateway.headers["content-type"] == torchserve.headers["content-type"]


@pytest.mark.parametrize("sent", REFUSED.values(), ids=REFUSED.keys())
def test_a_refusal_is_torchserves(ask: Ask, sent: Request) -> None:
    torchserve, gateway = ask(sent)
    assert torchserve.status_code == gateway.status_code
    expected = torchserve.json()
    assert {key: gateway.json()[key] for key in expected} == expected


@pytest.mark.parametrize(("sent", "theirs", "ours", "reason"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_what_is_different_is_meant_to_be(
    ask: Ask, sent: Request, theirs: int, ours: int, reason: str
) -> None:
    torchserve, gateway = ask(sent)
    assert (torchserve.status_code, gateway.status_code) == (theirs, ours), reason
    if ours != 200:
        assert gateway.json()["detail"]


def test_a_body_of_exactly_the_limit_passes(ask: Ask, stack: RunningStack, tmp_path: Path) -> None:
    limit = int(stack.settings.torchserve.properties["max_request_size"])
    torchserve, gateway = ask(put(IMAGE + b"\0" * (limit - len(IMAGE))))
    assert torchserve.status_code == gateway.status_code == 200
    assert _rounded(torchserve.json()) == _rounded(gateway.json())


def _rounded(body: Any) -> Any:
    """Batches of another size round differently, in the seventh digit."""
    return json.loads(json.dumps(body), parse_float=lambda text: round(float(text), 4))
