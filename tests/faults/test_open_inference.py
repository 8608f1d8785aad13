"""Open Inference Protocol: BYTES tensors of images in, tensors of classes and probabilities out."""

import json
import struct
from typing import Any

import httpx
import pytest

from tests.encoded_images import FORMATS, SMALL
from tests.fake_torchserve import FakeTorchServe, described, error, version
from tests.faults.test_kserve_v1 import LOW_LIMITS, text
from tests.served_gateway import gateway, shared_gateway
from torchserve_gateway.gateway.protocols.binary_tensors import bytes_tensor, read_bytes_tensor

JPEG, PNG = SMALL["JPEG"], SMALL["PNG"]
INFER = "/v2/models/genre/infer"
LENGTH = "Inference-Header-Content-Length"


def tensor(*images: bytes, **changed: Any) -> dict[str, Any]:
    data = [text(image) for image in images]
    return {"name": "image", "datatype": "BYTES", "shape": [len(images)], "data": data} | changed


def binary(*images: bytes, raw: bytes | None = None, **request: Any) -> tuple[bytes, dict[str, str]]:
    raw = bytes_tensor(images) if raw is None else raw
    described = tensor(*images, parameters={"binary_data_size": len(raw)})
    del described["data"]
    content = json.dumps({"inputs": [described]} | request).encode()
    return content + raw, {LENGTH: str(len(content))}


def by_length(request: httpx.Request) -> httpx.Response:
    """Another answer for every image, the most probable class last."""
    answer = {"low": 0.25, f"of {len(request.content)}": 0.75}
    return httpx.Response(200, json=answer, headers={"X-Model-Version": "1.0"})


async def test_every_row_belongs_to_its_image_and_has_the_highest_first() -> None:
    images = [SMALL[name] for name in FORMATS]
    torchserve = FakeTorchServe(by_length)
    async with gateway(torchserve) as client:
        response = await client.post(INFER, json={"id": "42", "inputs": [tensor(*images)]})
    assert response.status_code == 200
    shape = [len(images), 2]
    labels = [label for image in images for label in (f"of {len(image)}", "low")]
    assert response.json() == {
        "model_name": "genre",
        "model_version": "1.0",
        "id": "42",
        "outputs": [
            {"name": "classes", "datatype": "BYTES", "shape": shape, "data": labels},
            {"name": "probabilities", "datatype": "FP32", "shape": shape, "data": [0.75, 0.25] * len(images)},
        ],
    }
    assert sorted(each.content for each in torchserve.requests) == sorted(images)
    assert response.headers["x-model-version"] == "1.0"
    assert response.headers["server-timing"].startswith("gateway;dur=")


@pytest.mark.parametrize(
    "changed",
    [
        {"shape": [2, 1]},
        {"shape": [2, 1], "data": [[text(JPEG)], [text(PNG)]]},
        # as in TorchServe's examples
        {"shape": [-1], "name": "312a4eb0-0ca7-4803-a101-a6d2c18486fe"},
    ],
)
async def test_shapes_of_a_list_of_images(changed: dict[str, Any]) -> None:
    async with shared_gateway(FakeTorchServe(by_length)) as client:
        response = await client.post(INFER, json={"inputs": [tensor(JPEG, PNG, **changed)]})
    assert response.status_code == 200
    assert response.json()["outputs"][0]["shape"] == [2, 2]
    assert "id" not in response.json()


async def test_images_behind_the_json_need_no_base64() -> None:
    torchserve = FakeTorchServe(by_length)
    body, headers = binary(JPEG, PNG)
    async with gateway(torchserve) as client:
        response = await client.post(INFER, content=body, headers=headers)
    assert response.headers["content-type"] == "application/json"
    assert response.json()["outputs"][0]["data"] == [f"of {len(JPEG)}", "low", f"of {len(PNG)}", "low"]


@pytest.mark.parametrize(
    "request_",
    [
        {"parameters": {"binary_data_output": True}},
        {
            "outputs": [
                {"name": name, "parameters": {"binary_data": True}} for name in ("classes", "probabilities")
            ]
        },
    ],
)
async def test_outputs_come_behind_the_json_where_that_is_asked_for(request_: dict[str, Any]) -> None:
    body, headers = binary(JPEG, PNG, **request_)
    async with shared_gateway(FakeTorchServe(by_length)) as client:
        response = await client.post(INFER, content=body, headers=headers)
    assert response.headers["content-type"] == "application/octet-stream"
    end = int(response.headers[LENGTH])
    classes, probabilities = json.loads(response.content[:end])["outputs"]
    assert "data" not in classes
    middle = end + classes["parameters"]["binary_data_size"]
    labels = [f"of {len(JPEG)}".encode(), b"low", f"of {len(PNG)}".encode(), b"low"]
    assert read_bytes_tensor(response.content[end:middle], 4) == labels
    assert len(response.content) - middle == probabilities["parameters"]["binary_data_size"]
    assert struct.unpack("<4f", response.content[middle:]) == (0.75, 0.25, 0.75, 0.25)


async def test_only_the_outputs_that_are_asked_for_come() -> None:
    outputs = [{"name": "probabilities"}, {"name": "classes", "parameters": {"binary_data": False}}]
    parameters = {"binary_data_output": True, "priority": 1}
    async with gateway(FakeTorchServe(by_length)) as client:
        request = {"inputs": [tensor(JPEG)], "outputs": outputs, "parameters": parameters}
        response = await client.post(INFER, json=request)
        first, second = json.loads(response.content[: int(response.headers[LENGTH])])["outputs"]
        assert (first["name"], first["parameters"]) == ("probabilities", {"binary_data_size": 8})
        assert second["data"] == [f"of {len(JPEG)}", "low"]
        one = await client.post(INFER, json={"inputs": [tensor(JPEG)], "outputs": outputs[1:]})
    assert [output["name"] for output in one.json()["outputs"]] == ["classes"]


async def test_a_version_in_the_path_is_the_one_that_is_asked() -> None:
    torchserve = FakeTorchServe(by_length)
    async with gateway(torchserve) as client:
        response = await client.post("/v2/models/genre/versions/2.0/infer", json={"inputs": [tensor(JPEG)]})
    assert response.json()["model_version"] == response.headers["x-model-version"] == "2.0"
    assert torchserve.requests[0].url.path == "/predictions/genre/2.0"


WANTED = [{"name": "classes", "parameters": {"classification": 3}}]


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    [
        ({"inputs": []}, 400, "inputs is invalid: List should have at least 1 item"),
        (
            {"inputs": [tensor(JPEG)] * 2},
            400,
            "inputs is invalid: List should have at most 1 item",
        ),
        (
            {"inputs": [tensor(JPEG, datatype="FP32", data=[0.5])]},
            400,
            "inputs.0.datatype is invalid: Input should be 'BYTES'",
        ),
        ({"inputs": [tensor(JPEG, shape=[2])]}, 400, "shape is [2] and it has 1 elements"),
        ({"inputs": [tensor(JPEG, PNG, shape=[1, 2])]}, 400, "shape is [1, 2] and it has 2 elements"),
        ({"inputs": [tensor()]}, 400, "shape is [0] and it has 0 elements"),
        ({"inputs": [tensor(JPEG, data=None)]}, 400, "needs either data, as base64, or binary_data_size"),
        ({"inputs": [tensor(JPEG, parameters={"binary_data_size": 9})]}, 400, "0 bytes follow the JSON"),
        (
            {"inputs": [tensor(JPEG)], "outputs": WANTED},
            400,
            "classification is invalid: Value error, this is not offered",
        ),
        (
            {"inputs": [tensor(JPEG)], "outputs": [{"name": "x"}]},
            400,
            "'classes', 'probabilities' or 'output'",
        ),
        ({"inputs": [tensor(*[JPEG] * 5)]}, 413, "there are 5 images, at most 4"),
        ({"inputs": [tensor(JPEG, data=["?"])]}, 400, "element 0 of the input is not base64"),
        (
            {"inputs": [tensor(JPEG, b"no image")]},
            415,
            "element 1 of the input: the 8 bytes are not an image",
        ),
        ({"inputs": [tensor(JPEG, bytes(50_001))]}, 413, "element 1 of the input has 50001 bytes"),
        ({"inputs": [tensor(bytes(100_000))]}, 413, "at most 100000"),
    ],
)
async def test_a_request_that_is_refused_says_what_is_wrong(
    request_: dict[str, Any], status: int, said: str
) -> None:
    async with shared_gateway(FakeTorchServe(by_length), *LOW_LIMITS) as client:
        response = await client.post(INFER, json=request_)
    problem = response.json()
    assert response.status_code == problem["status"] == status
    assert said in problem["detail"]
    assert problem["error"] == problem["detail"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (binary(JPEG, PNG, raw=bytes_tensor([JPEG, PNG])[:-1]), 400, "by its length, but only"),
        (binary(JPEG, PNG, raw=bytes_tensor([JPEG]) + b"\0"), 400, "breaks off in the length of element 1"),
        (binary(JPEG, raw=b"\xff\xff\xff\xff"), 400, "has 4294967295 bytes by its length, but only 0 follow"),
        (binary(JPEG, PNG, raw=bytes_tensor([JPEG])), 400, "shape is [2] and it has 1 elements"),
        (binary(*[JPEG] * 33), 413, "more than the 32 images"),
        ((binary(JPEG)[0], {}), 400, "Invalid JSON"),
        ((binary(JPEG)[0] + b"more", binary(JPEG)[1]), 400, "bytes follow the JSON"),
        ((binary(JPEG)[0][:-1], binary(JPEG)[1]), 400, "bytes follow the JSON"),
        ((binary(JPEG)[0], {LENGTH: "1000000"}), 400, f"{LENGTH} is 1000000, the body has"),
        ((binary(JPEG)[0], {LENGTH: "-1"}), 400, "not a number of bytes"),
        ((binary(JPEG)[0], {LENGTH: "9" * 5000}), 400, "not a number of bytes"),
        ((binary(JPEG)[0], {LENGTH: "0"}), 400, "Invalid JSON"),
    ],
)
async def test_binary_data_that_lies_is_refused(
    body: tuple[bytes, dict[str, str]], status: int, said: str
) -> None:
    torchserve = FakeTorchServe(by_length)
    async with shared_gateway(torchserve) as client:
        response = await client.post(INFER, content=body[0], headers=body[1])
    assert response.status_code == status
    assert said in response.json()["detail"]
    assert torchserve.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"[1, 2]",
        b'{"Horror": "high"}',
        b'{"Horror": true}',
        b'{"Horror": 1e39}',
        b'"text"',
    ],
)
@pytest.mark.parametrize("binary_output", [True, False])
async def test_an_answer_that_is_no_tensor_is_502(answer: bytes, binary_output: bool) -> None:
    request = {"inputs": [tensor(JPEG)], "parameters": {"binary_data_output": binary_output}}
    async with shared_gateway(FakeTorchServe(httpx.Response(200, content=answer))) as client:
        response = await client.post(INFER, json=request)
    assert response.status_code == 502
    assert "no tensor" in response.json()["error"]


async def test_answers_of_different_lengths_are_no_tensor() -> None:
    def as_many_as_png(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"a": 1.0} if request.content == PNG else {"a": 0.5, "b": 0.5})

    async with gateway(FakeTorchServe(as_many_as_png)) as client:
        response = await client.post(INFER, json={"inputs": [tensor(JPEG, PNG)]})
    assert response.status_code == 502


async def test_the_first_image_without_an_answer_decides() -> None:
    def full_for_png(request: httpx.Request) -> httpx.Response:
        if request.content == PNG:
            return error(503, "ServiceUnavailableException", "no worker")
        return by_length(request)

    async with gateway(FakeTorchServe(full_for_png)) as client:
        response = await client.post(INFER, json={"inputs": [tensor(JPEG, PNG, b"no image")]})
        page = (await client.get("/metrics")).text
    assert response.status_code == 503
    assert response.json()["error"] == "element 1 of the input: no worker"
    assert int(response.headers["retry-after"]) >= 1
    assert 'error="NoCapacityError"' in page


@pytest.mark.slow
async def test_images_without_an_answer_at_the_deadline_are_504() -> None:
    torchserve = FakeTorchServe(hangs=True)
    overrides = ("gateway.deadline_s=0.5", "gateway.batch_concurrency=2")
    async with gateway(torchserve, *overrides) as client:
        response = await client.post(INFER, json={"inputs": [tensor(*[JPEG] * 6)]})
    assert response.status_code == 504
    assert len(torchserve.jobs) <= 2


def describe(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/ping":
        return httpx.Response(200, json={"status": "Healthy"})
    if request.url.path.startswith("/models/genre"):
        return described(version("1.0", ready=1, workers=1), version("1.1", ready=1, workers=1))
    return error(404, "ModelNotFoundException", "Model not found: other")


async def test_what_the_server_and_its_models_say_of_themselves() -> None:
    async with gateway(FakeTorchServe(describe)) as client:
        server = (await client.get("/v2")).json()
        assert server["extensions"] == ["binary_tensor_data"]
        assert (await client.get("/v2/health/live")).json() == {"live": True}
        assert (await client.get("/v2/health/ready")).json() == {"ready": True}
        metadata = (await client.get("/v2/models/genre")).json()
        assert metadata["versions"] == ["1.0", "1.1"]
        assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
        assert [each["shape"] for each in metadata["outputs"]] == [[-1, 10], [-1, 10]]
        assert (await client.get("/v2/models/genre/versions/1.1")).json() == metadata
        assert (await client.get("/v2/models/genre/versions/1.1/ready")).json()["ready"]
        # TorchServe's word for every version.
        every = "/v2/models/genre/versions/all"
        for path in (
            every,
            f"{every}/ready",
            "/v2/models/genre/versions/2.0",
            "/v2/models/other",
            "/v2/nonesuch",
        ):
            response = await client.get(path)
            assert response.status_code == 404
            assert response.json()["error"] == response.json()["detail"]


async def test_without_torchserve_it_lives_and_is_not_ready() -> None:
    async with gateway(FakeTorchServe(httpx.ConnectError("refused"))) as client:
        assert (await client.get("/v2/health/live")).status_code == 200
        for path in ("/v2/health/ready", "/v2/models/genre/ready", "/v1/models/genre"):
            assert (await client.get(path)).status_code == 503
        assert (await client.get("/v2/models/genre")).status_code == 502
