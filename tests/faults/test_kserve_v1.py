"""KServe's V1 protocol: an image an instance, each with its own answer, or one refusal for all."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest

from tests.encoded_images import FORMATS, SMALL
from tests.fake_torchserve import FakeTorchServe, described, error, version
from tests.faults.test_gateway_batches import length_of, to_png
from tests.faults.test_overload import until
from tests.served_gateway import gateway, gateway_of_record, shared_gateway
from tests.shown_blocks import quoted_text
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.intake.forms import FormParser
from torchserve_gateway.record.record import DeployedModel

JPEG, PNG = SMALL["JPEG"], SMALL["PNG"]
PREDICT = "/v1/models/genre:predict"
LOW_LIMITS = (
    "gateway.max_request_bytes=50000",
    "gateway.max_batch_images=4",
    "gateway.max_batch_request_bytes=100000",
)


NO_IMAGE = quoted_text("docs/protocols.md", "instances[1]: the 8 bytes are not an image in one of JPEG, ")


def text(image: bytes) -> str:
    return base64.b64encode(image).decode()


async def test_instances_are_answered_in_the_order_sent() -> None:
    images = [SMALL[name] for name in FORMATS]
    torchserve = FakeTorchServe(length_of)
    async with gateway(torchserve) as client:
        response = await client.post(PREDICT, json={"instances": [{"data": text(each)} for each in images]})
    assert response.status_code == 200
    assert response.json() == {"predictions": [{"length": len(image)} for image in images]}
    assert sorted(each.content for each in torchserve.requests) == sorted(images)
    assert response.headers["x-model-name"] == "genre"
    assert response.headers["x-model-version"] == "1.0"
    assert response.headers["server-timing"].startswith("gateway;dur=")


@pytest.mark.parametrize(
    "body",
    [
        # TorchServe's and KServe's examples
        {"instances": [{"data": text(JPEG), "target": 0}]},
        {"instances": [{"image": {"b64": text(JPEG)}}]},
        {"instances": [{"image_bytes": {"b64": text(JPEG)}, "key": "   1"}]},
        # TensorFlow Serving's REST API
        {"signature_name": "serving_default", "instances": [{"b64": text(JPEG)}]},
        {"instances": [text(JPEG)]},
        {"inputs": [{"data": text(JPEG)}]},
    ],
)
async def test_every_documented_way_to_send_an_image(body: dict[str, Any]) -> None:
    async with shared_gateway(FakeTorchServe(length_of)) as client:
        # curl -d sends another type, and KServe does not look at it.
        for content_type in ("application/json", "application/x-www-form-urlencoded"):
            response = await client.post(PREDICT, json=body, headers={"content-type": content_type})
            assert response.json() == {"predictions": [{"length": len(JPEG)}]}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"instances": [text(JPEG), text(b"no image"), "!"]}, 400, "instances[2] is not base64"),
        ({"instances": [text(JPEG), "AAAAA"]}, 400, "instances[1] is not base64"),
        ({"instances": [text(JPEG), text(b"no image"), text(JPEG[:20])]}, 415, NO_IMAGE),
        ({"instances": [text(JPEG), text(JPEG[:20])]}, 422, "instances[1]: the image cannot be decoded"),
        ({"instances": [{"data": ""}]}, 400, "instances[0] is empty"),
        ({"instances": [text(bytes(50_001))]}, 413, "instances[0] has 50001 bytes, at most 50000"),
        ({"instances": [text(JPEG)] * 5}, 413, "there are 5 instances, at most 4"),
        ({"instances": [text(bytes(100_000))]}, 413, "at most 100000"),
        ({"instances": []}, 400, "instances is invalid: List should have at least 1 item"),
        ({"instances": [[1.0, 2.0]]}, 400, "instances.0"),
        ({"instances": [{"other": text(JPEG)}]}, 400, "instances.0"),
        ({"instances": [""] * 1001}, 400, "more than 1000 items"),
        ({}, 400, "instances is invalid: Field required"),
        ([], 400, "the body is invalid"),
    ],
)
async def test_a_request_that_is_refused_says_what_is_wrong(body: Any, status: int, said: str) -> None:
    async with shared_gateway(FakeTorchServe(length_of), *LOW_LIMITS) as client:
        response = await client.post(PREDICT, json=body)
    problem = response.json()
    assert response.status_code == problem["status"] == status
    assert said in problem["detail"]
    assert problem["error"] == problem["detail"]
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b'{"instances": [' + b"1" * 100_000 + b"]}", b"\xff"]
)
async def test_what_is_no_json_is_refused(body: bytes) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        response = await client.post(PREDICT, content=body)
    assert response.status_code == 400
    assert "Invalid JSON" in response.json()["detail"]
    assert torchserve.requests == []


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (error(503, "ServiceUnavailableException", "no worker"), 503),
        (error(422, "UndecodableImageException", "the image cannot be decoded"), 422),
        (httpx.ConnectError("refused"), 502),
        (httpx.Response(200, content=b"garbage"), 502),
        (httpx.Response(200, content=b'{"Horror": NaN}'), 502),
        (httpx.Response(200, content=b'{"Horror": 1e999}'), 502),
        (httpx.Response(200, content=b'{"\\ud800": 1}'), 502),
    ],
)
async def test_the_first_instance_without_an_answer_decides(
    answer: httpx.Response | Exception, status: int
) -> None:
    body = {"instances": [text(JPEG), text(PNG), text(b"no image")]}
    async with shared_gateway(FakeTorchServe(to_png(answer))) as client:
        response = await client.post(PREDICT, json=body)
    assert response.status_code == status
    assert response.json()["detail"].startswith("instances[1]: ")
    assert ("retry-after" in response.headers) == (status == 503)


async def test_other_models_get_the_bytes_as_they_are() -> None:
    torchserve = FakeTorchServe(httpx.Response(200, json=[1, "two"]))
    async with gateway(torchserve) as client:
        response = await client.post("/v1/models/other:predict", json={"instances": [text(b"no image")]})
    assert response.json() == {"predictions": [[1, "two"]]}
    [request] = torchserve.requests
    assert request.url.path == "/predictions/other"
    assert request.content == b"no image"


IMAGE_FIELD = {"data": text(PNG)}
AS_JSON = "application/json"


@pytest.mark.parametrize(
    ("instance", "row"),
    [
        ({"x": [1, 2], "name": ""}, {"x": [1, 2], "name": "", "body": {"x": [1, 2], "name": ""}}),
        (IMAGE_FIELD, IMAGE_FIELD | {"body": IMAGE_FIELD}),
        ({"body": {"a": None}}, {"body": {"a": None}}),
        ({"image": {"b64": text(PNG)}, "body": 1}, {"image": PNG, "body": 1}),
        ({"b64": text(b"bytes")}, b"bytes"),
        ({"no form's name": 1}, {"body": {"no form's name": 1}}),
        ({}, {"body": {}}),
        ([1.5, "two"], {"body": [1.5, "two"]}),
        ("AAAA", {"body": "AAAA"}),
    ],
)
async def test_instances_reach_an_archive_of_others_as_they_are(instance: Any, row: Any) -> None:
    torchserve = FakeTorchServe(httpx.Response(200, json="answered"))
    foreign = VERSION.model_copy(update={"takes_images": False})
    async with gateway_of_record(torchserve, {"pets": DeployedModel(serving=foreign)}) as client:
        response = await client.post("/v1/models/pets:predict", json={"instances": [instance]})
    assert response.json() == {"predictions": ["answered"]}
    [request] = torchserve.jobs
    assert row_of(request) == row


def row_of(request: httpx.Request) -> Any:
    """The handler's row as TorchServe makes it; bytes for a body that is no form and no JSON."""
    content_type = request.headers["content-type"]
    if content_type == AS_JSON:
        return {"body": json.loads(request.content)}
    if not content_type.startswith("multipart/"):
        return request.content
    form = FormParser(content_type, 10)
    form.feed(request.content)
    return {
        each.name: json.loads(each.content) if each.content_type == AS_JSON else bytes(each.content)
        for each in form.parts()
    }


async def test_an_instance_that_is_too_large_twice_has_its_fields_alone() -> None:
    torchserve = FakeTorchServe(httpx.Response(200, json=1))
    deployed = {"pets": DeployedModel(serving=VERSION.model_copy(update={"takes_images": False}))}
    override = "gateway.max_request_bytes=1000"
    async with gateway_of_record(torchserve, deployed, override) as client:
        for size, status in ((200, 200), (600, 200), (1000, 413)):
            body = {"instances": [{"data": "A" * size}]}
            assert (await client.post("/v1/models/pets:predict", json=body)).status_code == status
    assert [sorted(row_of(each)) for each in torchserve.jobs] == [["body", "data"], ["data"]]


@pytest.mark.parametrize(
    ("update", "is_image"),
    [
        ({"takes_images": True}, True),
        ({"takes_images": True, "adopted": True}, True),
        # An older release records nothing, nor does an archive that cannot be read.
        ({"takes_images": None}, True),
        ({"takes_images": None, "adopted": True}, False),
    ],
)
async def test_what_the_record_says_of_the_archive_decides(update: dict[str, Any], is_image: bool) -> None:
    torchserve = FakeTorchServe(httpx.Response(200, json=1))
    deployed = {"pets": DeployedModel(serving=VERSION.model_copy(update=update))}
    async with gateway_of_record(torchserve, deployed) as client:
        await client.post("/v1/models/pets:predict", json={"instances": [IMAGE_FIELD]})
    [request] = torchserve.jobs
    assert (request.content == PNG) is is_image


async def test_a_full_gateway_refuses_before_it_reads_the_body() -> None:
    async def unread() -> Any:
        raise AssertionError("the body was read")
        yield b""

    overrides = ("gateway.admission.max_waiting=0", "gateway.admission.max_in_flight=1")
    torchserve = FakeTorchServe(hangs=True)
    async with gateway(torchserve, *overrides) as client:
        running = asyncio.create_task(client.post("/predictions/genre", content=JPEG))
        await until(lambda: len(torchserve.requests) == 1)
        for path in (PREDICT, "/v2/models/genre/infer"):
            response = await client.post(path, content=unread())
            assert response.status_code == 503
        running.cancel()


def describe(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/ping":
        return httpx.Response(200, json={"status": "Healthy"})
    if request.url.path.startswith("/models/genre"):
        return described(version("1.0", ready=1, workers=1))
    if request.url.path.startswith("/models/loading"):
        return described(version("1.0", ready=0, workers=1))
    return error(404, "ModelNotFoundException", "Model not found: other")


async def test_a_model_is_ready_when_a_worker_is() -> None:
    async with gateway(FakeTorchServe(describe)) as client:
        assert (await client.get("/v1/models")).json() == {"models": ["genre"]}
        assert (await client.get("/v1/models/genre")).json() == {"name": "genre", "ready": True}
        for protocol in ("/v1", "/v2"):
            ready = "/ready" if protocol == "/v2" else ""
            assert (await client.get(f"{protocol}/models/loading{ready}")).status_code == 503
            assert (await client.get(f"{protocol}/models/other{ready}")).status_code == 404


async def test_methods_that_a_path_has_not() -> None:
    async with gateway(FakeTorchServe()) as client:
        for path, method, allowed in ((PREDICT, "GET", "POST"), ("/v1/models/genre", "POST", "GET, HEAD")):
            response = await client.request(method, path)
            assert response.status_code == 405
            assert response.headers["allow"] == allowed
        page = (await client.get("/metrics")).text
    assert 'route="/v1/models/{model}:predict"' in page
    assert 'route="/v1/models/{model}"' in page
