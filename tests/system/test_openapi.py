"""The gateway does what its own OpenAPI document says, whatever a client makes of that document."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.transport.serialization import Binary

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, described, version
from tests.running_stack import RunningStack
from tests.served_gateway import served_gateway
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.project import ProjectSettings


def answer(request: httpx.Request) -> httpx.Response:
    if request.url.path.startswith("/models/"):
        return described(version("1.0", ready=1, workers=1))
    if request.url.path == "/ping":
        return httpx.Response(200, json={"status": "Healthy"})
    return httpx.Response(200, json={"Horror": 1.0})


IMAGES = st.sampled_from(list(SMALL.values()))
schemathesis.openapi.format("binary", IMAGES.map(Binary))
schemathesis.openapi.format("byte", IMAGES.map(lambda image: base64.b64encode(image).decode()))
# That a tensor has as many elements as its shape says, and what is in a binary body, no schema can say.
TENSORS = {"include-path-regex": "/infer$", "checks": {"positive_data_acceptance": {"enabled": False}}}
# A field that is no file is an image, too, which then fails alone.
FILES = {"include-path": "/predict/batch", "checks": {"negative_data_rejection": {"enabled": False}}}
# Besides schemathesis' own: a name that is too long is 414.
REFUSALS = {"negative_data_rejection": {"expected-statuses": ["4xx", "5xx"]}}
schema = schemathesis.openapi.from_dict(
    create_app(load("gateway", ProjectSettings)).openapi(),
    config=schemathesis.Config.from_dict(
        {
            # What other models take is not in the document.
            "parameters": {"path.model": "genre", "query.model": "genre"},
            "operations": [TENSORS, FILES],
            "checks": REFUSALS,
        }
    ),
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_gateway(FakeTorchServe(answer)) as server:
        yield f"http://{server.config.host}:{server.config.port}"


# What an explanation's request may say, the handler knows and the fake does not.
@schema.exclude(path_regex="^/explanations/").parametrize()
def test_every_route_keeps_to_its_schema(case: schemathesis.Case[Any], url: str) -> None:
    case.call_and_validate(base_url=url)


@schema.exclude(method="PUT").parametrize()  # it is what POST is
@settings(deadline=None, max_examples=5)
def test_so_it_does_with_the_real_torchserve_behind_it(
    case: schemathesis.Case[Any], stack: RunningStack
) -> None:
    # TorchServe refuses further fields of a form by names that no schema describes.
    case.call_and_validate(base_url=stack.settings.gateway.url, excluded_checks=[positive_data_acceptance])
