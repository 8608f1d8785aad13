"""What the gateway and the real TorchServe say of themselves after many clients asked at once."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.http_client import HTTP
from tests.running_stack import RunningStack
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.load_test.images import client_images

CLIENTS = 32
HANDLER = ("preprocess", "inference", "postprocess")


def scrape(url: str) -> list[Sample]:
    page = HTTP.get(f"{url}/metrics").raise_for_status().text
    return [sample for family in text_string_to_metric_families(page) for sample in family.samples]


@dataclass(frozen=True)
class Burst:
    """Many clients at once: their answers, and what was on the page before and after."""

    responses: list[httpx.Response]
    before: list[Sample]
    after: list[Sample]

    def rise(self, name: str, **labels: str) -> float:
        """By how much a sample rose, summed over all other labels."""
        wanted = {"model": "genre", **labels}.items()
        then, now = (
            sum(each.value for each in samples if each.name == name and wanted <= each.labels.items())
            for samples in (self.before, self.after)
        )
        return now - then


@pytest.fixture(scope="module")
async def burst(stack: RunningStack, images: list[Path]) -> Burst:
    gateway = stack.settings.gateway.url
    before = scrape(gateway)
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=gateway, timeout=60, limits=limits) as client:
        sent = client_images(images[0].parent, CLIENTS)
        responses = await asyncio.gather(*(client.post("/predictions/genre", content=each) for each in sent))
    assert [response.status_code for response in responses] == [200] * CLIENTS
    # A client may have its answer before the gateway has counted it.
    async with asyncio.timeout(10):
        while True:
            burst = Burst(responses, before, scrape(gateway))
            if burst.rise("gateway_requests_total") >= CLIENTS:
                return burst
            await asyncio.sleep(0.05)


def timings_ms(response: httpx.Response) -> dict[str, float]:
    entries = [entry.split(";dur=") for entry in response.headers["server-timing"].split(", ")]
    return {stage: float(duration) for stage, duration in entries}


def test_every_request_is_counted_for_the_version_that_answered(burst: Burst) -> None:
    versions = Counter(response.headers["x-model-version"] for response in burst.responses)
    for version, count in versions.items():
        answered = {"version": version, "route": "/predictions/{model}", "status": "200"}
        assert burst.rise("gateway_requests_total", **answered) == count


def test_the_stages_are_those_of_the_page(burst: Burst) -> None:
    timing = f"Server-Timing: {burst.responses[0].headers['Server-Timing']}"
    assert_same_words(timing, shown_block("docs/operating.md", "Server-Timing: "))


def test_requests_that_come_together_share_batches(burst: Burst) -> None:
    assert burst.rise("gateway_batch_size_count") == CLIENTS
    # Of each request the size of its batch: their mean is above 1 only if some were not alone.
    assert burst.rise("gateway_batch_size_sum") > CLIENTS
    assert burst.rise("gateway_batch_size_bucket", le="8.0") == CLIENTS


def test_the_stages_of_an_answer_add_up_to_no_more_than_it_took(burst: Burst) -> None:
    for response in burst.responses:
        timings = timings_ms(response)
        assert list(timings) == ["gateway", "admission", "queue", *HANDLER]
        assert all(duration >= 0 for duration in timings.values())
        assert sum(timings[stage] for stage in HANDLER) > 0
        rounding = 0.05 * len(timings)
        assert sum(timings.values()) <= response.elapsed.total_seconds() * 1000 + rounding


def test_the_stages_on_the_page_are_those_of_the_answers(burst: Burst) -> None:
    for stage in ("gateway", "admission", "queue", *HANDLER):
        assert burst.rise("gateway_stage_duration_seconds_count", stage=stage) == CLIENTS
        said_s = sum(timings_ms(response)[stage] for response in burst.responses) / 1000
        seen_s = burst.rise("gateway_stage_duration_seconds_sum", stage=stage)
        if stage != "gateway":  # its time goes on until the answer is sent
            assert seen_s == pytest.approx(said_s, abs=CLIENTS * 0.00005)
    total_s = burst.rise("gateway_request_duration_seconds_sum")
    stages_s = burst.rise("gateway_stage_duration_seconds_sum")
    assert stages_s == pytest.approx(total_s, rel=0.05)


def test_what_serves_is_shown(stack: RunningStack, burst: Burst) -> None:
    version = burst.responses[0].headers["x-model-version"]
    serving = [
        sample.labels["version"]
        for sample in burst.after
        if sample.name == "gateway_model_version_info"
        and (sample.labels["model"], sample.labels["state"]) == ("genre", "serving")
    ]
    assert serving == [version]


def test_torchserves_own_page_can_be_scraped_beside_it(stack: RunningStack, burst: Burst) -> None:
    names = {sample.name for sample in scrape(stack.settings.torchserve.metrics_url)}
    assert {"ts_inference_requests_total", "QueueTime", "BatchSize"} <= names
    assert not [name for name in names if name.startswith(("gateway_", "process_"))]


def test_the_log_has_one_line_a_request_with_both_ids(stack: RunningStack, burst: Burst) -> None:
    log = (stack.directory / "var" / "log" / "gateway.log").read_text()
    for response in burst.responses:
        [line] = [each for each in log.splitlines() if response.headers["x-request-id"] in each]
        assert "torchserve_request_id=" in line
        assert "batch_size=" in line
