"""The live view's cost: CPU time of a sample, which the gateway takes every second, and the ring's size."""

import time

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.live.counters import CounterReader
from torchserve_gateway.gateway.live.history import KEPT_SAMPLES, History
from torchserve_gateway.gateway.prediction.admission import Admission
from torchserve_gateway.gateway.prediction.stages import CacheCounts
from torchserve_gateway.gateway.telemetry.metrics import Metrics
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.record.record import DeployedModel, DeployedVersion, Record
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.inference import Prediction

ROUTES = ("/predict", "/predict/batch", "/predictions/{model}", "/v2/models/{model}/infer")
MODELS = (1, 10)


def _version() -> DeployedVersion:
    timing = {"response_timeout": 30, "startup_timeout": 120}
    archive = {"source": "m.mar", "archive": "m.mar", "sha256": "0" * 64}
    batching = {"batch_size": 8, "max_batch_delay": 20, "initial_workers": 2}
    return DeployedVersion.model_validate({"version": "1.0", **archive, **batching, **timing})


def _history(models: int) -> History:
    """The history of a gateway that has answered requests for so many models on all routes."""
    settings = load("gateway", ProjectSettings)
    routing = Routing()
    names = [f"model{number}" for number in range(models)]
    routing.record = Record(revision=1, models={name: DeployedModel(serving=_version()) for name in names})
    metrics = Metrics(routing)
    for name in names:
        for path in ROUTES:
            answer = Prediction(b"", None, "1.0", 0.02, None, batch_size=4, admission_s=0.0)
            context = RequestContext("id", model=name, version="1.0", status=200, answers=[answer])
            context.error_type = "UnsupportedFormatError"
            metrics.observe({"method": "POST", "route": type("Route", (), {"path_format": path})}, context)
            routing.counts_of(name, "1.0").observe(0.02)
    admission = Admission(settings.gateway.admission, routing, ServedModels(settings))
    history = History(CounterReader(metrics, routing, CacheCounts()), routing, admission)
    history.start()
    return history


def main() -> None:
    """Prints a line per number of models."""
    for models in MODELS:
        history = _history(models)
        begun = time.process_time()
        for _ in range(KEPT_SAMPLES):
            history.sample({})
        per_sample_ms = (time.process_time() - begun) / KEPT_SAMPLES * 1000
        _, samples = history.since(0)
        size_kb = sum(map(len, samples)) / 1000
        print(
            f"live view, {models} models on {len(ROUTES)} routes: {per_sample_ms:.2f} ms of CPU a second, "
            f"{size_kb:.0f} kB kept"
        )


if __name__ == "__main__":
    main()
