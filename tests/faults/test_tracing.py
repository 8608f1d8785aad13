"""One trace a request, from the caller through the gateway to TorchServe; nothing at all unless asked for."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.faults.test_logs import logged_as
from tests.faults.test_overload import REFUSED, SlowTorchServe, application, call, client, until
from tests.http_server import serving
from tests.running_stack import run

IMAGE = SMALL["PNG"]

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
ANSWER = httpx.Response(200, content=b'{"Horror": 1.0}', headers={"X-Request-ID": "of-torchserve"})


@dataclass
class Collector:
    """What an OTLP collector got."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services |= {each.value.string_value for each in resource.resource.attributes}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def only(self, kind: "Span.SpanKind.ValueType") -> Span:
        [span] = [span for span in self.spans if span.kind == kind]
        return span


def attributes(span: Span) -> dict[str, str | int]:
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing; the base class writes to stderr."""

    with serving(Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        yield collector


@asynccontextmanager
async def traced(
    torchserve: object, endpoint: str, directory: Path, *more: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway that traces. When it has stopped, all spans are sent."""
    app = application(
        torchserve,  # type: ignore[arg-type]
        f"gateway.tracing.otlp_endpoint={endpoint}",
        f"torchserve.deployments_dir={directory}",
        *more,
    )
    async with app.router.lifespan_context(app), client(app) as http:
        yield http


async def test_a_callers_trace_goes_on_through_the_gateway_to_torchserve(tmp_path: Path) -> None:
    torchserve = FakeTorchServe(ANSWER)
    with collecting() as collector:
        async with traced(torchserve, collector.url, tmp_path) as http:
            headers = {"traceparent": CALLER, "tracestate": "vendor=x", "X-Request-ID": "of-the-client"}
            await http.post("/predictions/genre/1.0", content=IMAGE, headers=headers)
    server, to_torchserve = (collector.only(kind) for kind in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT))
    assert server.trace_id.hex() == to_torchserve.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == CALLER.split("-")[2]
    assert to_torchserve.parent_span_id == server.span_id
    [request] = torchserve.requests
    assert request.headers["traceparent"] == f"00-{TRACE}-{to_torchserve.span_id.hex()}-01"
    assert request.headers["tracestate"] == "vendor=x"
    assert collector.services == {"torchserve-gateway"}


async def test_a_callers_state_that_torchserve_would_refuse_is_not_passed_on(tmp_path: Path) -> None:
    torchserve = FakeTorchServe(ANSWER)
    state = ",".join(f"vendor{number}={'x' * 200}" for number in range(30))
    with collecting() as collector:
        async with traced(torchserve, collector.url, tmp_path) as http:
            headers = {"traceparent": CALLER, "tracestate": state}
            assert (await http.post("/predictions/m", content=IMAGE, headers=headers)).status_code == 200
    assert torchserve.requests[0].headers["traceparent"].startswith(f"00-{TRACE}-")
    assert "tracestate" not in torchserve.requests[0].headers


async def test_a_span_says_model_version_status_and_both_request_ids(tmp_path: Path) -> None:
    with collecting() as collector:
        async with traced(FakeTorchServe(ANSWER), collector.url, tmp_path) as http:
            await http.post("/predictions/genre/1.0", content=IMAGE, headers={"X-Request-ID": "mine"})
    server = collector.only(Span.SPAN_KIND_SERVER)
    assert server.name == "POST /predictions/{model}/{version}"
    assert (
        attributes(server).items()
        >= {
            "gateway.model": "genre",
            "gateway.version": "1.0",
            "gateway.request_id": "mine",
            "torchserve.request_id": "of-torchserve",
            "http.route": "/predictions/{model}/{version}",
            "http.response.status_code": 200,
        }.items()
    )
    to_torchserve = attributes(collector.only(Span.SPAN_KIND_CLIENT))
    assert str(to_torchserve["url.full"]).endswith("/predictions/genre/1.0")
    assert to_torchserve["http.response.status_code"] == 200


async def test_a_failure_is_an_error_in_both_spans(tmp_path: Path) -> None:
    with collecting() as collector:
        async with traced(
            FakeTorchServe(REFUSED), collector.url, tmp_path, "gateway.upstream.attempts=1"
        ) as http:
            await http.post("/predictions/genre/1.0", content=IMAGE)
    assert len(collector.spans) == 2
    assert {span.status.code for span in collector.spans} == {Status.STATUS_CODE_ERROR}
    server = attributes(collector.only(Span.SPAN_KIND_SERVER))
    assert server["http.response.status_code"] == 502
    assert "refused" in str(server["gateway.error"])


async def test_every_attempt_is_a_span_of_its_own(tmp_path: Path) -> None:
    torchserve = FakeTorchServe(REFUSED)
    with collecting() as collector:
        async with traced(torchserve, collector.url, tmp_path, "gateway.upstream.attempts=3") as http:
            await http.post("/predictions/genre", content=IMAGE)
    attempts = [span for span in collector.spans if span.kind == Span.SPAN_KIND_CLIENT]
    assert len(attempts) == 3
    parents = {request.headers["traceparent"].split("-")[2] for request in torchserve.requests}
    assert parents == {span.span_id.hex() for span in attempts}


async def test_a_client_that_goes_away_leaves_a_span_that_says_so(tmp_path: Path) -> None:
    torchserve, gone = SlowTorchServe(), asyncio.Event()
    with collecting() as collector:
        overrides = (
            f"gateway.tracing.otlp_endpoint={collector.url}",
            f"torchserve.deployments_dir={tmp_path}",
        )
        app = application(torchserve, *overrides)
        async with app.router.lifespan_context(app):
            leaving = asyncio.create_task(call(app, gone))
            await until(lambda: len(torchserve.received) == 1)
            gone.set()
            await leaving
    server = collector.only(Span.SPAN_KIND_SERVER)
    assert server.status.code == Status.STATUS_CODE_ERROR
    assert attributes(server)["gateway.model"] == "m"


async def test_nobody_traces_probes_and_scrapes(tmp_path: Path) -> None:
    with collecting() as collector:
        async with traced(FakeTorchServe(), collector.url, tmp_path) as http:
            for path in ("/ping", "/health/live", "/health/ready", "/metrics"):
                await http.get(path)
    assert collector.spans == []


async def test_a_caller_that_does_not_sample_is_not_traced_but_its_context_goes_on(tmp_path: Path) -> None:
    torchserve = FakeTorchServe()
    with collecting() as collector:
        async with traced(torchserve, collector.url, tmp_path) as http:
            headers = {"traceparent": f"{CALLER[:-2]}00"}
            await http.post("/predictions/genre", content=IMAGE, headers=headers)
    assert collector.spans == []
    assert torchserve.requests[0].headers["traceparent"].startswith(f"00-{TRACE}-")
    assert torchserve.requests[0].headers["traceparent"].endswith("-00")


@pytest.mark.parametrize(
    "sent", ["", "rubbish", "00-0-0-01", f"ff-{TRACE}-b7ad6b7169203331-01", CALLER.upper()]
)
async def test_a_traceparent_that_is_none_starts_a_trace_of_our_own(tmp_path: Path, sent: str) -> None:
    with collecting() as collector:
        async with traced(FakeTorchServe(), collector.url, tmp_path) as http:
            response = await http.post("/predictions/m", content=IMAGE, headers={"traceparent": sent})
    assert response.status_code == 200
    server = collector.only(Span.SPAN_KIND_SERVER)
    assert server.parent_span_id == b""
    assert server.trace_id.hex() not in (TRACE, "0" * 32)


async def test_log_lines_name_the_trace(tmp_path: Path) -> None:
    with logged_as("json") as lines, collecting() as collector:
        async with traced(FakeTorchServe(), collector.url, tmp_path) as http:
            await http.post("/predictions/m", content=IMAGE, headers={"traceparent": CALLER})
    assert any(f'"trace_id": "{TRACE}"' in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("listens", [False, True])
async def test_without_a_collector_that_answers_requests_are_and_the_gateway_ends(
    tmp_path: Path, listens: bool
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        if listens:
            nobody.listen()
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with asyncio.timeout(20):
            async with traced(FakeTorchServe(), endpoint, tmp_path) as http:
                assert (await http.post("/predictions/m", content=IMAGE)).status_code == 200


async def test_without_an_endpoint_nothing_is_traced_or_passed_on() -> None:
    torchserve = FakeTorchServe()
    async with client(application(torchserve)) as http:
        await http.post("/predictions/m", content=IMAGE, headers={"traceparent": CALLER})
    assert "traceparent" not in torchserve.requests[0].headers


@pytest.mark.slow
def test_without_an_endpoint_nothing_that_makes_or_sends_spans_is_loaded() -> None:
    code = (
        "import sys; from torchserve_gateway.settings.composition import load;"
        "from torchserve_gateway.settings.project import ProjectSettings;"
        "from torchserve_gateway.gateway.application import create_app;"
        "loaded = lambda: {'opentelemetry.sdk.trace', 'opentelemetry.exporter'} & sys.modules.keys();"
        "create_app(load('gateway', ProjectSettings)); print(loaded());"
        "endpoint = 'gateway.tracing.otlp_endpoint=http://127.0.0.1:4318';"
        "create_app(load('gateway', ProjectSettings, [endpoint])); print(loaded())"
    )
    without, with_endpoint = run("-c", code).stdout.splitlines()
    assert without == "set()"
    assert "opentelemetry.sdk.trace" in with_endpoint
