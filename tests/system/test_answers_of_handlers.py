"""Between client and handler the gateway changes nothing: each request also goes straight to TorchServe."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.http_client import HTTP
from tests.processes import until
from tests.running_stack import RunningStack
from tests.small_archive import small_archive

MODEL = "answering"
ERROR = {"message": "mine", "code": "E17"}
STATUSES = (
    *(200, 201, 202, 204, 205, 301, 302, 304, 400, 401, 404, 405, 409, 413, 418, 422, 429),
    *(500, 502, 503, 507, 599),
)


@pytest.fixture(scope="module")
def both(stack: RunningStack) -> Iterator[tuple[str, str]]:
    """The base URLs of TorchServe and the gateway, with a model that answers as it is told."""
    torchserve = stack.settings.torchserve
    source = Path("tests/handlers/answering.py").read_text()
    archive = small_archive(stack.directory / "model_store", MODEL, source)
    parameters: dict[str, str | int] = {"url": archive.name, "initial_workers": 1, "synchronous": "true"}
    models = f"{torchserve.management_url}/models"
    HTTP.post(models, params=parameters, timeout=120).raise_for_status()
    yield torchserve.inference_url, stack.settings.gateway.url
    HTTP.delete(f"{models}/{MODEL}").raise_for_status()


def ask(
    base: str, wanted: dict[str, Any], path: str = "predictions", headers: dict[str, str] | None = None
) -> httpx.Response:
    content = json.dumps(wanted).encode()
    return HTTP.post(f"{base}/{path}/{MODEL}", content=content, headers=headers, timeout=60)


@pytest.mark.parametrize("path", ["predictions", "explanations"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_handlers_status_body_and_headers_are_those_of_torchserve(
    both: tuple[str, str], path: str, status: int
) -> None:
    wanted: dict[str, Any] = {
        "status": status,
        "phrase": "My Phrase",
        "content_type": "text/vnd.mine",
        "body": json.dumps(ERROR),
        "headers": {
            "X-My-Header": "caf\u00e9",
            "Content-Disposition": "attachment",
            "Location": "/elsewhere",
        },
    }
    direct, through = (ask(base, wanted, path) for base in both)
    assert through.status_code == direct.status_code == status
    assert through.content == direct.content
    assert through.headers["content-type"] == direct.headers["content-type"] == "text/vnd.mine"
    for name in wanted["headers"]:
        assert through.headers[name] == direct.headers[name]
    assert through.headers["x-model-name"] == MODEL


@pytest.mark.parametrize("status", [400, 404, 405, 409, 422])
def test_a_prediction_exception_is_the_handlers_answer_too(both: tuple[str, str], status: int) -> None:
    direct, through = (ask(base, {"raise": ["no face found", status]}) for base in both)
    assert through.status_code == direct.status_code == status
    assert through.json() == direct.json()
    assert through.json()["message"] == "no face found"


@pytest.mark.parametrize("status", [0, 99, 600, 999, 1000])
def test_a_status_that_http_does_not_have_is_502(both: tuple[str, str], status: int) -> None:
    response = ask(both[1], {"status": status, "body": "x"})
    assert response.status_code == 502
    assert response.headers["content-type"] == "application/problem+json"


def test_an_interim_status_is_no_answer(both: tuple[str, str]) -> None:
    """TorchServe sends nothing after it, so the deadline ends the request."""
    response = ask(both[1], {"status": 102, "body": "x"}, headers={"X-Request-Timeout": "1"})
    assert response.status_code == 504


@pytest.mark.parametrize("path", ["predictions", "explanations"])
def test_a_clients_headers_reach_the_handler_as_they_were_sent(both: tuple[str, str], path: str) -> None:
    sent = {
        "X-Customer": "a b",
        "aCCept-Language": "de, en;q=0.5",
        "X_Under": "1",
        "X-Empty": "",
        "User-Agent": "u",
        "Content-Type": "image/jpeg",
    }
    direct, through = (
        HTTP.post(f"{base}/{path}/{MODEL}", content=b"{}", headers=sent).json() for base in both
    )
    for name, value in sent.items():
        assert through[name] == direct[name] == value
    # Nor are there others than TorchServe's and those of every HTTP request.
    assert through.keys() - {"Accept-Encoding", "Connection"} <= direct.keys()


def test_no_client_gives_the_handler_instructions_or_credentials(both: tuple[str, str]) -> None:
    instructions = ("Explain", "describe", "ts_request_sequence_id", "ts_stream_next", "url_path")
    credentials = ("Authorization", "X-API-Key", "Cookie", "Proxy-Authorization")
    of_the_connection = ("Keep-Alive", "TE", "X-Named")
    sent = dict.fromkeys((*instructions, *credentials, *of_the_connection, "X-Routing-Key"), "secret")
    seen = ask(both[1], {}, headers=sent | {"Connection": "X-Named"}).json()
    assert seen["explain"] == "False"
    assert "secret" not in seen.values()


def test_as_many_header_bytes_as_are_allowed_reach_the_handler(both: tuple[str, str]) -> None:
    """With the longest of everything else that the gateway sends."""
    content_type = "application/" + "x" * 200
    seen = ask(both[1], {}, headers={"X-Large": "a" * 5500, "Content-Type": content_type})
    assert seen.status_code == 200, seen.text
    assert len(seen.json()["X-Large"]) == 5500
    refused = ask(both[1], {}, headers={"X-Large": "a" * 6200})
    assert refused.status_code == 431
    assert "'X-Large'" in refused.json()["detail"]


def test_an_answer_over_torchserves_limit_names_the_limit_and_its_setting(both: tuple[str, str]) -> None:
    response = ask(both[1], {"size": 7_000_000})
    assert response.status_code == 502
    assert "6553500 bytes of torchserve.properties.max_response_size" in response.json()["detail"]
    # TorchServe killed the worker; until its successor has loaded, there may be 503.
    until(lambda: ask(both[1], {"body": "lives"}).text == "lives")
