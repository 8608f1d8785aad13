"""Every request is counted once, where it belongs, and no client can make up a label."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, described, version
from tests.faults.test_gateway_faults import FAULTS
from tests.faults.test_overload import REFUSED, SlowTorchServe, application, call, client, until
from tests.served_gateway import gateway_of_record
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.record.record import DeployedModel, Trial

IMAGE = SMALL["PNG"]

DEPLOYED = DeployedModel(
    serving=VERSION.model_copy(update={"version": "1.0"}),
    trial=Trial(kind="canary", version="1.1", share=0),
    retiring=("0.9",),
)
TIMED = httpx.Response(
    200,
    content=b'{"Horror": 1.0}',
    headers={"Server-Timing": "preprocess;dur=0.01, inference;dur=0.02", "X-Batch-Size": "3"},
)


def deployed(
    torchserve: Callable[[httpx.Request], Any], *overrides: str, model: DeployedModel = DEPLOYED
) -> AbstractAsyncContextManager[httpx.AsyncClient]:
    """A client while, by default, genre 1.0 serves, 1.1 is tried, and 0.9 is being retired."""
    return gateway_of_record(torchserve, {"genre": model}, *overrides)


async def scrape(http: httpx.AsyncClient) -> list[Metric]:
    return list(parse_text((await http.get("/metrics")).raise_for_status().text))


def samples(metrics: list[Metric], name: str, **labels: str) -> list[float]:
    return [
        sample.value
        for metric in metrics
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def series(metrics: list[Metric]) -> Iterator[tuple[str, ...]]:
    for metric in metrics:
        for sample in metric.samples:
            yield sample.name, *(f"{key}={value}" for key, value in sorted(sample.labels.items()))


async def test_a_prediction_is_counted_by_route_model_version_and_status() -> None:
    async with deployed(FakeTorchServe(TIMED)) as http:
        for path in ("/predictions/genre", "/predictions/genre", "/predictions/genre/1.1"):
            assert (await http.put(path, content=IMAGE)).status_code == 200
        metrics = await scrape(http)
    genre = {"method": "PUT", "model": "genre", "status": "200"}
    route = "/predictions/{model}"
    assert samples(metrics, "gateway_requests_total", route=route, version="1.0", **genre) == [2]
    assert samples(
        metrics, "gateway_requests_total", route=f"{route}/{{version}}", version="1.1", **genre
    ) == [1]
    assert samples(metrics, "gateway_request_duration_seconds_count", route=route, model="genre") == [2]
    assert samples(metrics, "gateway_requests_in_flight") == [1]  # the scrape itself


async def test_stages_and_batch_sizes_are_what_the_handler_said() -> None:
    async with deployed(FakeTorchServe(TIMED)) as http:
        response = await http.post("/predictions/genre", content=IMAGE)
        metrics = await scrape(http)
    seconds = {
        stage: samples(metrics, "gateway_stage_duration_seconds_sum", version="1.0", stage=stage)
        for stage in ("gateway", "admission", "queue", "preprocess", "inference", "torchserve")
    }
    assert seconds["preprocess"] == [pytest.approx(0.00001)]
    assert seconds["inference"] == [pytest.approx(0.00002)]
    assert seconds["torchserve"] == []
    assert all(value >= 0 for [value] in (seconds["gateway"], seconds["admission"], seconds["queue"]))
    assert samples(metrics, "gateway_batch_size_sum", model="genre", version="1.0") == [3]
    timing = [entry.split(";dur=") for entry in response.headers["server-timing"].split(", ")]
    assert [stage for stage, _ in timing] == ["gateway", "admission", "queue", "preprocess", "inference"]
    assert all(float(duration) >= 0 for _, duration in timing)
    # What the handler tells the gateway is not passed on as it is.
    assert "x-batch-size" not in response.headers


@pytest.mark.parametrize("rubbish", ["inference;dur=99999", "total;dur=1", "\x00", "inference"])
async def test_a_handler_that_says_nonsense_of_its_times_is_not_believed(rubbish: str) -> None:
    headers = {"Server-Timing": rubbish, "X-Batch-Size": rubbish, "X-Model-Version": "made-up"}
    answer = httpx.Response(200, content=b"{}", headers=headers)
    async with deployed(FakeTorchServe(answer)) as http:
        response = await http.post("/predictions/genre", content=IMAGE)
        metrics = await scrape(http)
    stages = [entry.partition(";")[0] for entry in response.headers["server-timing"].split(", ")]
    assert stages == ["gateway", "admission", "torchserve"]
    assert samples(metrics, "gateway_stage_duration_seconds_count", stage="torchserve") == [1]
    assert samples(metrics, "gateway_batch_size_count") == []


@pytest.mark.slow
async def test_what_clients_make_up_makes_no_series() -> None:
    async with deployed(FakeTorchServe(TIMED)) as http:

        async def strangers(names: range) -> None:
            for name in names:
                await http.get(f"/{name}")
                await http.request(f"METHOD{name}", "/")
                await http.post(f"/predictions/{name}", content=IMAGE)
                await http.post(f"/predictions/{name}/{name}", content=IMAGE)
                await http.post(f"/predictions/genre/{name}", content=IMAGE)

        await strangers(range(1))
        await scrape(http)
        before = set(series(await scrape(http)))
        await strangers(range(1, 150))
        metrics = await scrape(http)
    assert set(series(metrics)) == before
    assert samples(metrics, "gateway_requests_total", route="none", method="GET", status="404") == [150]
    assert sum(samples(metrics, "gateway_requests_total", model="unknown", version="unknown")) == 300
    assert samples(metrics, "gateway_requests_total", model="genre", version="unknown") == [150]


@pytest.mark.parametrize(("answer", "status"), [fault[:2] for fault in FAULTS])
async def test_every_failure_is_counted_for_the_version_that_failed(
    answer: httpx.Response | Exception, status: int
) -> None:
    async with deployed(FakeTorchServe(answer), "gateway.upstream.attempts=1") as http:
        assert (await http.post("/predictions/genre/1.1", content=IMAGE)).status_code == status
        metrics = await scrape(http)
    canary = {"model": "genre", "version": "1.1"}
    assert samples(metrics, "gateway_requests_total", status=str(status), **canary) == [1]
    assert samples(metrics, "gateway_errors_total", **canary) == [1]
    assert samples(metrics, "gateway_stage_duration_seconds_count") == []


def predicting(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Fails at predictions alone."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/predictions"):
            raise error
        return httpx.Response(200, json=[])

    return answer


@pytest.mark.parametrize(
    ("torchserve", "content", "status", "error"),
    [
        (FakeTorchServe(), b"", 400, "NoImageError"),
        (FakeTorchServe(), b"x" * 7_000_000, 413, "BodyTooLargeError"),
        (FakeTorchServe(predicting(RuntimeError("bug"))), IMAGE, 500, "RuntimeError"),
        (FakeTorchServe(hangs=True), IMAGE, 504, "DeadlineExceededError"),
        (FakeTorchServe(REFUSED), IMAGE, 502, "NotConnectedError"),
    ],
)
async def test_every_failure_is_counted_by_its_cause(
    torchserve: FakeTorchServe, content: bytes, status: int, error: str
) -> None:
    async with deployed(torchserve, "gateway.deadline_s=0.2", "gateway.upstream.attempts=1") as http:
        assert (await http.post("/predictions/genre", content=content)).status_code == status
        metrics = await scrape(http)
    assert samples(metrics, "gateway_requests_total", model="genre", status=str(status)) == [1]
    assert samples(metrics, "gateway_errors_total", model="genre", error=error) == [1]


async def test_workers_and_queues_are_those_that_torchserve_has() -> None:
    torchserve = FakeTorchServe(described(version("1.0", ready=1, workers=2, pending=3)))
    async with deployed(torchserve) as http:
        metrics = await scrape(http)
    assert samples(metrics, "gateway_torchserve_replicas") == [1]
    assert samples(metrics, "gateway_torchserve_reachable") == [1]
    assert samples(metrics, "gateway_model_workers", version="1.0", state="ready") == [1]
    assert samples(metrics, "gateway_model_workers", version="1.0", state="wanted") == [2]
    assert samples(metrics, "gateway_model_queued", version="1.0") == [3]


@pytest.mark.parametrize("torchserve", [FakeTorchServe(REFUSED), FakeTorchServe(hangs=True)])
async def test_a_torchserve_that_does_not_answer_is_counted_and_keeps_nobody_waiting(
    torchserve: FakeTorchServe,
) -> None:
    async with deployed(torchserve, "gateway.health_timeout_s=0.1") as http:
        metrics = await scrape(http)
    assert samples(metrics, "gateway_torchserve_replicas") == [1]
    assert samples(metrics, "gateway_torchserve_reachable") == [0]
    assert samples(metrics, "gateway_model_workers") == []


async def test_a_client_that_goes_away_is_counted_as_499() -> None:
    torchserve, gone = SlowTorchServe(), asyncio.Event()
    app = application(torchserve)
    leaving = asyncio.create_task(call(app, gone))
    await until(lambda: len(torchserve.received) == 1)
    gone.set()
    await leaving
    async with client(app) as http:
        metrics = await scrape(http)
    assert samples(metrics, "gateway_requests_total", status="499", route="/predictions/{model}") == [1]
    assert samples(metrics, "gateway_requests_in_flight") == [1]


async def test_who_waits_and_who_is_with_torchserve_is_shown() -> None:
    torchserve = SlowTorchServe()
    async with deployed(torchserve, "gateway.admission.max_in_flight=2") as http:
        requests = [asyncio.create_task(http.post("/predictions/genre", content=IMAGE)) for _ in range(5)]
        await until(lambda: len(torchserve.received) == 2)
        metrics = await scrape(http)
        torchserve.release.set()
        await asyncio.gather(*requests)
        after = await scrape(http)
    names = ("gateway_admission_in_flight", "gateway_admission_waiting", "gateway_admission_limit")
    assert [samples(metrics, name, model="genre") for name in names] == [[2], [3], [2]]
    assert [samples(after, name, model="genre") for name in names] == [[0], [0], [2]]
    [waited_s] = samples(after, "gateway_stage_duration_seconds_sum", stage="admission")
    assert waited_s > 0


async def test_deployed_versions_and_shadow_comparisons_are_shown() -> None:
    trial, shadow = Trial(kind="shadow", version="1.1", share=1), {"model": "genre", "version": "1.1"}
    shadowed = DEPLOYED.model_copy(update={"trial": trial})
    async with deployed(FakeTorchServe(), model=shadowed) as http, asyncio.timeout(10):
        await http.post("/predictions/genre", content=IMAGE)
        metrics = await scrape(http)
        while samples(metrics, "gateway_shadow_copies_total", result="compared", **shadow) != [1]:
            metrics = await scrape(http)
    states = {
        sample.labels["version"]: sample.labels["state"]
        for metric in metrics
        for sample in metric.samples
        if sample.name == "gateway_model_version_info"
    }
    assert states == {"1.0": "serving", "1.1": "shadow", "0.9": "retiring"}
    assert samples(metrics, "gateway_shadow_copies_total", result="failed", **shadow) == [0]
    assert samples(metrics, "gateway_shadow_same_class_total", **shadow) == [1]
    assert samples(metrics, "gateway_shadow_within_tolerance_total", **shadow) == [1]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=rubbish", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ],
)
async def test_both_formats_are_well_formed(accept: str, content_type: str) -> None:
    async with deployed(FakeTorchServe(TIMED)) as http:
        await http.post("/predictions/genre", content=IMAGE)
        page = await http.get("/metrics", headers={"accept": accept})
    assert page.headers["content-type"] == content_type
    parse = parse_openmetrics if "openmetrics" in content_type else parse_text
    names = {metric.name for metric in parse(page.text)}
    assert {"gateway_requests", "gateway_stage_duration_seconds", "gateway_batch_size"} <= names
    assert all(name.startswith(("gateway_", "process_")) for name in names)


async def test_every_application_counts_for_itself() -> None:
    async with deployed(FakeTorchServe()) as one, deployed(FakeTorchServe()) as other:
        await one.post("/predictions/genre", content=IMAGE)
        assert samples(await scrape(one), "gateway_requests_total", model="genre") == [1]
        assert samples(await scrape(other), "gateway_requests_total", model="genre") == []
