"""The live view's ring of samples tells what the gateway counted."""

import json
from typing import Any

import pytest

from tests.composed_settings import gateway_settings
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.live.changes import changes
from torchserve_gateway.gateway.live.counters import CounterReader, quantile_s
from torchserve_gateway.gateway.live.history import KEPT_SAMPLES, History
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.prediction.stages import CacheCounts
from torchserve_gateway.gateway.telemetry.metrics import DURATIONS_S, Metrics
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.record.record import DeployedModel, Record, Trial
from torchserve_gateway.torchserve_api.inference import Prediction


class Gateway:
    """The counters of a gateway and a history of them, with a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.routing = Routing()
        self.routing.record = Record(revision=1, models={"genre": DeployedModel(serving=VERSION)})
        self.cache = CacheCounts()
        self.metrics = Metrics(self.routing)
        settings = gateway_settings()
        self.admission = Admission(settings.gateway.admission, self.routing, ServedModels(settings))
        reader = CounterReader(self.metrics, self.routing, self.cache)
        self.history = History(reader, self.routing, self.admission, lambda: self.now)
        self.history.start()

    def request(self, seconds: float = 0.02, error: str | None = None, path: str = "/predict") -> None:
        """A request that took so long, as the middleware counts it."""
        context = RequestContext("id", model="genre", version="1.10", status=200, error_type=error)
        context.started -= seconds
        if error is None:
            self.routing.counts_of("genre", "1.10").observe(seconds)
            context.answers = [Prediction(b"", None, "1.10", seconds, None, batch_size=4, admission_s=0.0)]
        route = type("Route", (), {"path_format": path})()
        self.metrics.observe({"method": "POST", "route": route}, context)

    def sample(self, seconds: float = 1.0) -> dict[str, Any]:
        self.now += seconds
        self.history.sample({})
        _, samples = self.history.since(0)
        newest: dict[str, Any] = json.loads(samples[-1])
        return newest


def test_rates_are_means_of_the_last_five_seconds() -> None:
    gateway = Gateway()
    for _ in range(10):
        gateway.request()
    rates = [gateway.sample()["images_per_s"] for _ in range(6)]
    assert rates == [10, 5, 3.33, 2.5, 2, 0]


def test_latency_batch_size_and_queue_are_those_of_the_requests() -> None:
    gateway = Gateway()
    gateway.admission.lane("genre")
    for _ in range(98):
        gateway.request(0.02)
    for _ in range(2):
        gateway.request(1.5)
    sample = gateway.sample()
    assert 10 < sample["latency_ms"]["p50"] < 1000
    assert sample["latency_ms"]["p99"] > 1000
    assert sample["batch_size"] == 4
    assert (sample["in_flight"], sample["waiting"]) == (0, 0)


def test_explanations_do_not_hide_the_latency_of_predictions() -> None:
    gateway = Gateway()
    gateway.request(0.02)
    for _ in range(50):
        gateway.request(9, path="/explanations/{model}")
    assert gateway.sample()["latency_ms"]["p99"] < 5000


def test_errors_are_counted_by_kind_in_the_second_in_which_they_happen() -> None:
    gateway = Gateway()
    gateway.request(error="UnsupportedFormatError")
    gateway.request(error="UnsupportedFormatError")
    assert gateway.sample()["errors"] == {"UnsupportedFormatError": 2}
    assert gateway.sample()["errors"] == {}


def test_answers_from_the_cache_are_images_too() -> None:
    gateway = Gateway()
    gateway.cache.by_model["genre"]["hit"] += 4
    assert gateway.sample()["images_per_s"] == 4


def test_copies_for_a_shadowed_version_are_no_images_that_a_client_got() -> None:
    gateway = Gateway()
    trial = Trial(kind="shadow", version="2.0", share=1)
    models = {"genre": DeployedModel(serving=VERSION, trial=trial)}
    gateway.routing.record = Record(revision=2, models=models)
    gateway.request()
    gateway.routing.counts_of("genre", "2.0").observe(0.02)
    sample = gateway.sample()
    assert sample["images_per_s"] == 1
    assert sample["versions"] == {
        "genre 2.0": {"images_per_s": 1, "state": "shadow 100 %"},
        "genre 1.10": {"images_per_s": 1, "state": "serving"},
    }


def test_a_quiet_gateway_has_no_latency_and_no_batch() -> None:
    sample = Gateway().sample()
    assert sample["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert sample["batch_size"] is None


def test_the_ring_keeps_fifteen_minutes_and_a_reader_gets_each_sample_once() -> None:
    gateway = Gateway()
    for _ in range(KEPT_SAMPLES + 20):
        gateway.sample()
    taken, samples = gateway.history.since(0)
    assert (taken, len(samples)) == (KEPT_SAMPLES + 20, KEPT_SAMPLES)
    gateway.sample()
    taken, samples = gateway.history.since(taken)
    assert (taken, len(samples)) == (KEPT_SAMPLES + 21, 1)
    assert gateway.history.since(taken) == (taken, [])


def test_a_deploy_is_a_mark_of_the_sample_in_which_it_is_followed() -> None:
    gateway = Gateway()
    assert gateway.sample()["marks"] == []
    serving = VERSION.model_copy(update={"version": "2.0"})
    gateway.routing.record = Record(revision=2, models={"genre": DeployedModel(serving=serving)})
    assert gateway.sample()["marks"] == [{"label": "2.0", "text": "genre 2.0 serves, replaces 1.10"}]
    assert gateway.sample()["marks"] == []


CANARY = Trial(kind="canary", version="2.0", share=0.05)
NEW = VERSION.model_copy(update={"version": "2.0"})


@pytest.mark.parametrize(
    ("before", "now", "texts"),
    [
        (None, DeployedModel(serving=VERSION), ["genre 1.10 serves"]),
        (DeployedModel(serving=VERSION), DeployedModel(serving=VERSION, retiring=("1.0",)), []),
        (
            DeployedModel(serving=VERSION),
            DeployedModel(serving=VERSION, trial=CANARY),
            ["canary genre 2.0 at 5 %"],
        ),
        (
            DeployedModel(serving=VERSION, trial=CANARY),
            DeployedModel(serving=VERSION, trial=Trial(kind="canary", version="2.0", share=0.25)),
            ["canary genre 2.0 at 25 %"],
        ),
        (
            DeployedModel(serving=VERSION, trial=CANARY),
            DeployedModel(serving=VERSION),
            ["canary genre 2.0 ended"],
        ),
        (
            DeployedModel(serving=VERSION, trial=CANARY),
            DeployedModel(serving=NEW, previous=(VERSION,)),
            ["genre 2.0 serves, replaces 1.10"],
        ),
        (
            DeployedModel(serving=NEW, previous=(VERSION,)),
            DeployedModel(serving=VERSION),
            ["genre 1.10 serves again, rolled back from 2.0"],
        ),
    ],
)
def test_what_a_deployer_did_is_told_from_two_revisions(
    before: DeployedModel | None, now: DeployedModel, texts: list[str]
) -> None:
    older = Record(revision=1, models={"genre": before} if before else {})
    newer = Record(revision=2, models={"genre": now})
    assert [mark["text"] for mark in changes(older, newer)] == texts


@pytest.mark.parametrize(
    ("bucket", "quantile", "expected"),
    [(5, 0.5, 0.0175), (5, 1.0, 0.025), (0, 0.5, 0.00025), (len(DURATIONS_S), 0.99, DURATIONS_S[-1])],
)
def test_a_quantile_lies_inside_its_bucket(bucket: int, quantile: float, expected: float) -> None:
    counts = [0.0] * (len(DURATIONS_S) + 1)
    assert quantile_s(counts, quantile) is None
    counts[bucket] = 10
    assert quantile_s(counts, quantile) == pytest.approx(expected)
