"""Tutorial 4 of docs/tutorials.md: MNIST with Make, metrics, and 409 for a model that is there."""

import pytest

from tests.http_client import HTTP
from tests.tutorials.conftest import Reader

pytestmark = pytest.mark.long

METRICS = (
    "ts_inference_requests_total",
    "ts_queue_latency_microseconds",
    "ts_inference_latency_microseconds",
)


def test_digits_are_registered_and_predicted_by_the_tutorials_names(reader: Reader) -> None:
    torchserve = reader.stack.settings.torchserve
    reader.make("mar", "model_name=digits", "model_version=1.0")
    host, _, port = torchserve.management_url.rpartition(":")
    where = ("model_name=digits", f"tserve_url={host}", f"models_port={port}", "num_workers=1")
    reader.make("register-model", *where)
    predicted = reader.make("send_digits")
    assert "Predicted" in predicted
    assert "Actual" in predicted
    assert "of 10" in predicted
    page = HTTP.get(f"{torchserve.metrics_url}/metrics").text
    for name in METRICS:
        assert f'{name}{{model_name="digits"' in page
    again = reader.tries("manage", "ARGS=register digits-1.0.mar --model-name digits")
    assert again.returncode != 0
    assert "already registered" in again.stderr
    refused = HTTP.post(f"{torchserve.management_url}/models?url=digits-1.0.mar&model_name=digits")
    assert refused.status_code == 409
    reader.make("manage", "ARGS=unregister digits")
    assert HTTP.get(f"{torchserve.management_url}/models/digits").status_code == 404
