"""One line a request or event, in one form, whoever writes it; nothing in it that is nobody's business."""

import io
import json
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import structlog
import uvicorn

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.faults.test_gateway_metrics import TIMED, deployed
from tests.faults.test_overload import REFUSED
from tests.free_ports import free_ports
from tests.processes import Process, until
from torchserve_gateway.gateway.telemetry.log_lines import configure_logging

IMAGE = SMALL["PNG"]

LogFormat = Literal["console", "json"]
BUG = FakeTorchServe(RuntimeError("bug"))


@contextmanager
def logged_as(log_format: LogFormat) -> Iterator[list[str]]:
    """Logs as the gateway does; the list has the lines when this ends."""
    root, lines = logging.getLogger(), list[str]()
    handlers, level = root.handlers, root.level
    root.setLevel(logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    output = io.StringIO()
    try:
        configure_logging(log_format, output)
        yield lines
    finally:
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
    lines += output.getvalue().splitlines()


async def lines_of(
    torchserve: FakeTorchServe, *paths: str, log_format: LogFormat = "json", **request: Any
) -> list[str]:
    """What is logged while an image is sent to every path."""
    with logged_as(log_format) as lines:
        async with deployed(torchserve, "gateway.upstream.attempts=1") as http:
            for path in paths or ("/predictions/genre",):
                await http.post(path, **{"content": IMAGE} | request)
    return lines


async def test_a_request_is_one_line_with_both_ids_model_version_and_times() -> None:
    answer = httpx.Response(200, content=b"{}", headers={**TIMED.headers, "X-Request-ID": "of-torchserve"})
    [line] = await lines_of(FakeTorchServe(answer), headers={"X-Request-ID": "of-the-client"})
    fields = json.loads(line)
    assert fields.items() >= {
        ("event", "request"),
        ("level", "info"),
        ("method", "POST"),
        ("path", "/predictions/genre"),
        ("status", 200),
        ("model", "genre"),
        ("version", "1.0"),
        ("request_id", "of-the-client"),
        ("torchserve_request_id", "of-torchserve"),
        ("batch_size", 3),
    }
    times = {"duration", "torchserve", "admission", "queue", "preprocess", "inference"}
    assert {key for key in fields if key.endswith("_ms")} == {f"{name}_ms" for name in times}


async def test_probes_and_scrapes_are_not_logged() -> None:
    assert await lines_of(FakeTorchServe(), "/ping", "/health/live", "/health/ready", "/metrics") == []


async def test_a_failure_says_which_version_and_why() -> None:
    [line] = map(json.loads, await lines_of(FakeTorchServe(REFUSED)))
    assert (line["status"], line["version"]) == (502, "1.0")
    assert line["error"].startswith("NotConnectedError: TorchServe's inference API")


async def test_what_nobody_foresaw_is_logged_with_its_traceback_and_the_requests_id() -> None:
    request, error = sorted(map(json.loads, await lines_of(BUG)), key=lambda line: str(line["event"]))
    assert request["status"] == 500
    assert error["event"] == "unforeseen error"
    assert error["logger"] == "torchserve_gateway.gateway.problems"
    assert error["exception"].endswith("RuntimeError: bug")
    assert error["request_id"] == request["request_id"]


@pytest.mark.parametrize("torchserve", [FakeTorchServe(), FakeTorchServe(REFUSED), BUG])
async def test_neither_images_nor_credentials_are_ever_logged(torchserve: FakeTorchServe) -> None:
    secrets = {"Authorization": "Bearer s3cret", "X-API-Key": "s3cret", "Cookie": "s3cret"}
    lines = await lines_of(torchserve, "/predictions/genre?token=s3cret", headers=secrets)
    assert lines
    assert not [line for line in lines if "s3cret" in line or "own bytes" in line]


def said_by_everybody() -> None:
    logging.getLogger("gateway.deployed").error("the record of %s cannot be read", "genre")
    uvicorn.Config(app=lambda: None, log_config=None)
    logging.getLogger("uvicorn.error").warning("Exceeded concurrency limit.")
    structlog.get_logger("gateway").warning("ours")


def test_lines_of_every_library_are_json() -> None:
    with logged_as("json") as lines:
        said_by_everybody()
    parsed = [json.loads(line) for line in lines]
    assert [(line["level"], line["event"], line.get("logger")) for line in parsed] == [
        ("error", "the record of genre cannot be read", "gateway.deployed"),
        ("warning", "Exceeded concurrency limit.", "uvicorn.error"),
        ("warning", "ours", None),
    ]
    assert all(line["timestamp"].endswith("Z") for line in parsed)


def test_lines_of_every_library_are_keys_and_values() -> None:
    with logged_as("console") as lines:
        said_by_everybody()
    assert all(line.startswith("timestamp=20") for line in lines)
    assert [line.partition(" ")[2] for line in lines] == [
        'level=error event="the record of genre cannot be read" logger=gateway.deployed',
        'level=warning event="Exceeded concurrency limit." logger=uvicorn.error',
        "level=warning event=ours",
    ]


async def test_people_get_a_traceback_as_they_know_it() -> None:
    lines = await lines_of(BUG, log_format="console")
    assert "    Traceback (most recent call last):" in lines
    assert "    RuntimeError: bug" in lines


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_path_makes_a_line_of_its_own(log_format: LogFormat) -> None:
    forged = "/x%0d%0atimestamp=2026%20level=error%20event=forged%1b[2J%e2%80%a8"
    [line] = await lines_of(FakeTorchServe(), forged, log_format=log_format)
    assert line.isprintable()


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_no_client_text_makes_a_long_line(log_format: LogFormat) -> None:
    long = "n" * 60_000
    lines = await lines_of(
        FakeTorchServe(httpx.Response(503, json={"code": 503, "type": long, "message": long})),
        f"/{long}",
        f"/predictions/{long}",
        "/predictions/genre",
        headers={"Content-Type": f"image/png; {long}", "X-Request-Timeout": f"1{'0' * 50_000}"},
        log_format=log_format,
    )
    assert len(lines) >= 3
    assert all(0 < len(line) < 10_000 for line in lines)


async def test_a_long_traceback_is_cut() -> None:
    bug = FakeTorchServe(RuntimeError("x" * 2_000_000))
    assert all(len(line) < 40_000 for line in await lines_of(bug))


@pytest.mark.slow
def test_a_full_disk_below_the_log_changes_no_answer_and_is_counted(tmp_path: Path) -> None:
    gateway, torchserve = free_ports(2)
    overrides = [
        f"gateway.port={gateway}",
        f"torchserve.inference_url=http://127.0.0.1:{torchserve}",
        f"torchserve.management_url=http://127.0.0.1:{torchserve}",
        f"torchserve.deployments_dir={tmp_path}",
    ]
    process = Process(Path("/dev/full"), [sys.executable, "app.py", *overrides])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{gateway}", trust_env=False) as http:
            until(lambda: process.ended or answers(http))
            statuses = [http.post("/predictions/genre", content=IMAGE).status_code for _ in range(5)]
            assert set(statuses) <= {502, 503}  # no TorchServe is there
            assert http.get("/nothing").status_code == 404
            until(lambda: lost_lines(http) >= 6)
        process.signal(signal.SIGTERM)
        until(lambda: process.ended)
        assert process.returncode == 0
    finally:
        process.kill()


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/health/live").is_success
    except httpx.TransportError:
        return False


def lost_lines(http: httpx.Client) -> int:
    page = http.get("/metrics").text
    return int(float(page.partition("\ngateway_log_lines_lost_total ")[2].partition("\n")[0]))
