"""Where keys are wanted nothing but the open paths answers without one, and no body is read before."""

import logging
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
import uvicorn
from starlette.routing import BaseRoute

from tests.composed_settings import gateway_settings
from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.faults.test_gateway_connections import (
    GIVE_UP_S,
    connection,
    is_problem,
    one_answer,
    trickle,
    until_closed,
)
from tests.free_ports import free_ports
from tests.http_client import HTTP
from tests.keys import EVERYTHING, bearer, with_keys, write_keys
from tests.processes import until
from tests.raw_request import status_of
from tests.running_stack import run
from tests.served_gateway import gateway, served_gateway, shared_gateway
from torchserve_gateway.gateway.access.api_keys import (
    Caller,
    new_key,
    read_callers,
    sha256,
    write_callers,
)
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.settings.composition import PROJECT_ROOT, ConfigurationError

IMAGE = SMALL["PNG"]
# These answer without a key; everything else that the application has needs one.
OPEN = {
    "/",
    "/page/about",
    "/page/{name}",
    "/docs",
    "/docs/oauth2-redirect",
    "/redoc",
    "/openapi.json",
    "/static-offline-docs",
    "/ping",
    "/health/live",
    "/health/ready",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
}
RIGHTS = {
    "/models": "models",
    "/models/{model}": "models",
    "/metrics": "metrics",
    "/live/events": "models",
}


def routes_below(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if hasattr(route, "original_router"):
            yield from routes_below(route.original_router.routes)
        else:
            for method in getattr(route, "methods", None) or {"GET"}:
                yield method, getattr(route, "path", "?")


ROUTES = sorted(routes_below(create_app(gateway_settings()).routes))
CLOSED = [(method, path) for method, path in ROUTES if path not in OPEN]


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "api_keys.json"


@pytest.fixture
def keys(keys_file: Path) -> dict[str, str]:
    return written(keys_file)


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, ...], dict[str, str]]:
    """Overrides for a gateway with keys that no test changes, and these keys."""
    file = tmp_path_factory.mktemp("callers") / "api_keys.json"
    return with_keys(file), written(file)


def written(keys_file: Path) -> dict[str, str]:
    return write_keys(
        keys_file, all=EVERYTHING, predict=("predict",), models=("models",), metrics=("metrics",)
    )


def test_the_application_has_the_routes_that_the_tests_think_it_has() -> None:
    assert {path for _, path in ROUTES} >= OPEN
    assert {"/predict", "/predict/batch", "/predictions/{model}", "/metrics", "/models"} <= {
        path for _, path in CLOSED
    }


@pytest.mark.parametrize(("method", "path"), CLOSED)
async def test_every_route_that_is_not_open_needs_a_key_with_its_right(
    keys_file: Path, keys: dict[str, str], method: str, path: str
) -> None:
    torchserve, url = FakeTorchServe(), re.sub(r"\{.*?\}", "genre", path)
    right = RIGHTS.get(path, "predict")
    async with gateway(torchserve, *with_keys(keys_file)) as client:

        async def status(**headers: str) -> int:
            return (await client.request(method, url, headers=headers)).status_code

        assert await status() == 401
        assert await status(**bearer(new_key())) == 401
        assert torchserve.requests == []
        for name, key in keys.items():
            answer = await client.request(method, url, headers=bearer(key))
            assert (answer.status_code == 403) is (name not in (right, "all")), name
            assert answer.status_code != 401
            if answer.status_code == 403:
                assert f"lacks the right '{right}'" in answer.text


@pytest.mark.parametrize("path", sorted(OPEN - {"/static-offline-docs"}))
async def test_open_paths_need_none(callers: tuple[tuple[str, ...], dict[str, str]], path: str) -> None:
    overrides, _ = callers
    async with shared_gateway(FakeTorchServe(), *overrides) as client:
        assert (await client.get(path)).status_code not in (401, 403)


async def test_white_space_around_a_key_is_no_part_of_it(keys_file: Path, keys: dict[str, str]) -> None:
    app = create_app(gateway_settings(*with_keys(keys_file)))
    for headers in (
        {"authorization": f" \tBearer {keys['all']} "},
        {"authorization": f"Bearer  {keys['all']}\t"},
        {"x-api-key": f"\t{keys['all']} \t"},
    ):
        # Past the door: what it sends is no form.
        assert await status_of(app, "POST", "/predict", headers=headers) == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": b"Bearer tsgw_wrong"},
        {"Authorization": b"Bearer "},
        {"Authorization": b"Bearer"},
        {"Authorization": b"Basic %s"},
        {"Authorization": b"Bearer \xe9"},
        {"Authorization": b"Bearer %s%s"},
        {"X-API-Key": b"tsgw_wrong"},
        {"X-API-Key": b""},
        {"X-API-Key": b"x" * 60_000},
        {"Authorization": b"Bearer wrong", "X-API-Key": b"%s"},
        {"Cookie": b"X-API-Key=%s"},
    ],
    ids=lambda headers: str(headers)[:50],
)
async def test_a_missing_and_a_wrong_key_get_the_same_answer(
    callers: tuple[tuple[str, ...], dict[str, str]], headers: dict[str, bytes]
) -> None:
    overrides, keys = callers
    valid = keys["all"].encode()
    sent = [(name.encode(), value.replace(b"%s", valid)) for name, value in headers.items()]
    async with shared_gateway(FakeTorchServe(), *overrides) as client:
        answer = await client.post("/predict", headers=sent)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.pop("request_id") == answer.headers["x-request-id"]
    assert problem == {
        "type": "urn:problem:unauthenticated",
        "title": "Unauthorized",
        "status": 401,
        "detail": "this path needs a valid API key, as Authorization: Bearer or as X-API-Key",
    }


@pytest.mark.parametrize("header", [bearer, lambda key: {"x-api-key": key}])
async def test_a_key_is_taken_from_either_header(
    callers: tuple[tuple[str, ...], dict[str, str]], header: Callable[[str], dict[str, str]]
) -> None:
    overrides, keys = callers
    async with shared_gateway(FakeTorchServe(), *overrides) as client:
        answer = await client.put("/predictions/genre", content=IMAGE, headers=header(keys["predict"]))
    assert answer.status_code == 200


@pytest.fixture
def server(keys_file: Path, keys: dict[str, str]) -> Iterator[uvicorn.Server]:
    with served_gateway(FakeTorchServe(), *with_keys(keys_file), "gateway.head_timeout_s=1") as server:
        yield server


@pytest.mark.parametrize(
    "path",
    [
        "/predict",
        "/predict/batch",
        "/predictions/genre",
        "/explanations/genre",
        "/v1/models/genre:predict",
        "/v2/models/genre/infer",
    ],
)
@pytest.mark.parametrize(("caller", "status"), [(None, 401), ("models", 403)])
def test_strangers_are_refused_before_they_send_a_byte_of_the_body(
    server: uvicorn.Server, keys: dict[str, str], path: str, caller: str | None, status: int
) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n"
    head += f"X-API-Key: {keys[caller]}\r\n" if caller else ""
    with connection(server) as client:
        client.sendall(f"{head}\r\n".encode())
        answer = one_answer(client)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"100 Continue" not in answer


@pytest.mark.slow
def test_a_stranger_that_sends_without_end_is_refused_and_cut_off(server: uvicorn.Server) -> None:
    with connection(server) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert is_problem(one_answer(client), 401)
        trickle(client, b"3e8\r\n" + bytes(1000))
        assert until_closed(client) == b""


async def test_a_hash_from_the_file_opens_nothing(keys_file: Path, keys: dict[str, str]) -> None:
    async with gateway(FakeTorchServe(), *with_keys(keys_file)) as client:
        for caller in read_callers(keys_file).values():
            assert (await client.get("/models", headers=bearer(caller.sha256[0]))).status_code == 401


@pytest.mark.slow
def test_keys_change_without_a_restart_and_a_broken_file_changes_nothing(
    keys_file: Path, keys: dict[str, str], server: uvicorn.Server, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://{server.config.host}:{server.config.port}/metrics"

    def accepts(key: str) -> bool:
        return HTTP.get(url, headers=bearer(key)).status_code == 200

    old, new = keys["all"], new_key()
    rights = frozenset(EVERYTHING)
    write_callers(keys_file, {"all": Caller(rights=rights, sha256=(sha256(new), sha256(old)))})
    until(lambda: accepts(new))
    assert accepts(old)
    assert not accepts(keys["metrics"])
    with caplog.at_level(logging.ERROR):
        keys_file.write_text("{broken")
        until(lambda: caplog.records)
        assert accepts(old)
        keys_file.unlink()
        until(lambda: "No such file" in caplog.text)
        assert accepts(new)
    assert all(str(keys_file) in record.message for record in caplog.records)
    write_callers(keys_file, {"all": Caller(rights=rights, sha256=(sha256(new),))})
    until(lambda: not accepts(old))
    assert accepts(new)
    write_callers(keys_file, {})
    until(lambda: not accepts(new))


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("{", "EOF"), ('{"a": {"rights": []}}', "a.sha256")]
)
def test_without_a_readable_file_the_gateway_does_not_start_and_says_why(
    keys_file: Path, content: str | None, said: str
) -> None:
    if content is not None:
        keys_file.write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        create_app(gateway_settings(*with_keys(keys_file)))
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"gateway.auth.keys_file: {keys_file}: ")
    assert said in line


@pytest.mark.slow
def test_a_gateway_that_does_not_start_exits_with_2_and_one_line(keys_file: Path) -> None:
    result = run("app.py", f"gateway.port={free_ports(1)[0]}", *with_keys(keys_file))
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert line.startswith(f"configuration error: gateway.auth.keys_file: {keys_file}: No such file")


async def test_the_log_names_the_caller_and_never_a_key(keys_file: Path, keys: dict[str, str]) -> None:
    with structlog.testing.capture_logs() as lines:
        async with gateway(FakeTorchServe(), *with_keys(keys_file)) as client:
            for key in (keys["models"], keys["predict"], "tsgw_wrong"):
                await client.post("/predictions/genre", content=IMAGE, headers=bearer(key))
            await client.get("/metrics", headers={"X-API-Key": keys["predict"]})
            await client.get("/metrics", headers={"X-API-Key": keys["metrics"]})
    logged = [(line["path"], line["status"], line.get("caller")) for line in lines]
    # A scrape is not logged; one that is refused is.
    assert logged == [
        ("/predictions/genre", 403, "models"),
        ("/predictions/genre", 200, "predict"),
        ("/predictions/genre", 401, None),
        ("/metrics", 403, "predict"),
    ]
    assert all(line["client"] == "127.0.0.1" for line in lines)
    assert not [key for key in (*keys.values(), "tsgw_wrong") if key in str(lines)]


async def test_metrics_count_by_caller_and_know_no_name_that_the_file_does_not_have(
    keys_file: Path, keys: dict[str, str]
) -> None:
    async with gateway(FakeTorchServe(), *with_keys(keys_file)) as client:
        for key in (keys["predict"], keys["predict"], "made-up"):
            await client.put("/predictions/genre", content=IMAGE, headers=bearer(key))
        page = (await client.get("/metrics", headers=bearer(keys["metrics"]))).text
    counted = re.findall(r"gateway_caller_requests_total\{(.*)\} (.*)", page)
    assert counted == [('caller="predict",status="200"', "2.0")]
    assert "made-up" not in page


async def test_openapi_offers_the_keys_where_they_are_wanted_and_only_there(
    keys_file: Path, keys: dict[str, str]
) -> None:
    async with gateway(FakeTorchServe(), *with_keys(keys_file)) as client:
        document = (await client.get("/openapi.json")).json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            either = operation.get("security", [])
            assert either == ([] if path in OPEN else [{"bearer": []}, {"header": []}]), path
            assert ({"401", "403", "429"} <= set(operation["responses"])) is (path not in OPEN)
    async with gateway(FakeTorchServe()) as client:
        document = (await client.get("/openapi.json")).text
    assert "securitySchemes" not in document
    assert '"401"' not in document


async def test_by_default_nobody_needs_a_key() -> None:
    async with gateway(FakeTorchServe()) as client:
        assert (await client.put("/predictions/genre", content=IMAGE)).status_code == 200
        assert (await client.get("/metrics")).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "enabled", "warned"),
    [
        ("0.0.0.0", False, True),
        pytest.param("0.0.0.0", True, False, marks=pytest.mark.long),
        pytest.param("127.0.0.1", False, False, marks=pytest.mark.long),
    ],
)
def test_a_gateway_that_others_reach_without_keys_says_so_at_its_start(
    keys_file: Path, keys: dict[str, str], tmp_path: Path, *, host: str, enabled: bool, warned: bool
) -> None:
    [port] = free_ports(1)
    overrides = [f"gateway.host={host}", f"gateway.port={port}", f"torchserve.deployments_dir={tmp_path}/d"]
    overrides += with_keys(keys_file) if enabled else ()
    process = subprocess.Popen(
        [sys.executable, "app.py", *overrides], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        until(lambda: reachable(port))
    finally:
        process.terminate()
        output = process.communicate(timeout=GIVE_UP_S)[0]
    assert ("whoever reaches" in output) is warned
    assert process.returncode == 0


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
