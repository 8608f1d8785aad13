"""Models that are no image classifiers: any body in, any JSON, text or bytes out."""

import base64
import struct
from typing import Any

import httpx
import pytest

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, described, version
from tests.several_models import gateway_of, several

PNG = SMALL["PNG"]
BYTES = b"\x00\xff\xfe"


def echo(request: httpx.Request) -> httpx.Response:
    """Answers with the body and its type."""
    return httpx.Response(
        200, content=request.content, headers={"content-type": request.headers["content-type"]}
    )


def answering(content: bytes, content_type: str | None = None) -> FakeTorchServe:
    headers = {"content-type": content_type} if content_type else {}
    return FakeTorchServe(lambda _: httpx.Response(200, content=content, headers=headers))


BODIES = [
    ("application/json", b'{"age": 41, "big": 12345678901234567890}'),
    ("application/json", b'[1, NaN, "broken'),
    ("text/plain; charset=utf-8", "übergut".encode()),
    ("application/octet-stream", BYTES),
    ("application/x-protobuf", BYTES),
    ("image/png", PNG),
    ("image/png", PNG[:30]),
    ("application/octet-stream", b""),
]


async def test_a_body_passes_unchanged_and_so_does_its_answer() -> None:
    async with gateway_of(FakeTorchServe(echo), several()) as client:
        for content_type, body in BODIES:
            for path in ("/predictions/echo", "/predictions/echo/1.0", "/predict?model=echo"):
                response = await client.post(path, content=body, headers={"content-type": content_type})
                assert (response.status_code, response.content) == (200, body)
                assert response.headers["content-type"] == content_type
            form = {"file": ("a", body, content_type)}
            response = await client.post("/predict?model=echo", files=form)
            assert (response.content, response.headers["content-type"]) == (body, content_type)


async def test_a_file_without_a_type_is_bytes_and_with_a_wrong_type_refused() -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n%s\r\nx\r\n--b--\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    async with gateway_of(FakeTorchServe(echo), several()) as client:
        untyped = await client.post("/predict?model=echo", content=head % b"", headers=headers)
        wrong = await client.post(
            "/predict?model=echo", content=head % b"Content-Type: x\r\n", headers=headers
        )
    assert untyped.headers["content-type"] == "application/octet-stream"
    assert wrong.status_code == 400
    assert "'x' is no media type" in wrong.json()["detail"]


async def test_images_of_a_model_that_is_no_classifier_are_checked() -> None:
    async with gateway_of(answering(b"[]"), several()) as client:
        raw = await client.post("/predict?model=boxes", content=PNG)
        statuses = [
            (await client.post("/predict?model=boxes", files={"file": body})).status_code
            for body in (PNG, PNG[:20], b"no image")
        ]
    assert statuses == [200, 422, 415]
    assert raw.status_code == 400


ANSWERS: list[tuple[bytes, str | None, dict[str, Any]]] = [
    (b'[{"class": "face", "score": 0.5}]', None, {"prediction": [{"class": "face", "score": 0.5}]}),
    (b"[]", None, {"prediction": []}),
    (b"7", None, {"prediction": 7}),
    (b"7", "text/plain", {"prediction": "7"}),
    (b"a cat [sic]", None, {"prediction": "a cat [sic]"}),
    (b'{"not": JSON', None, {"prediction": '{"not": JSON'}),
    (b"", None, {"prediction": ""}),
    (b'{"a": 1e999}', None, {"prediction": '{"a": 1e999}'}),
    (BYTES, "image/png", {"prediction": base64.b64encode(BYTES).decode(), "encoding": "base64"}),
]


@pytest.mark.parametrize("model", ["boxes", "echo", "unknown"])
async def test_any_answer_has_a_place_in_a_batch(model: str) -> None:
    torchserve, instances = FakeTorchServe(), [base64.b64encode(PNG).decode()]
    async with gateway_of(torchserve, several()) as client:
        for body, content_type, item in ANSWERS:
            torchserve.answer = answering(body, content_type).answer
            response = await client.post(f"/predict/batch?model={model}", files={"files": ("a.png", PNG)})
            assert response.json() == [{"filename": "a.png", **item}]
            v1 = await client.post(f"/v1/models/{model}:predict", json={"instances": instances})
            expected = {"b64": item["prediction"]} if "encoding" in item else item["prediction"]
            assert v1.json() == {"predictions": [expected]}


async def test_an_answer_that_must_be_json_and_is_not_is_502() -> None:
    torchserve = FakeTorchServe()
    async with gateway_of(torchserve, several()) as client:
        for model, content_type in (("genre", None), ("animals", None), ("echo", "application/json")):
            torchserve.answer = answering(b'{"Horror": 0.', content_type).answer
            [item] = (await client.post(f"/predict/batch?model={model}", files={"files": PNG})).json()
            assert item["error"]["status"] == 502


INSTANCES = [[1.5, 2, None], {"age": 41}, "text", 7, True, None, {"data": "no base64"}, "ü", {"b64": "AA=="}]


async def test_instances_are_passed_on_as_they_are() -> None:
    torchserve = FakeTorchServe(echo)
    async with gateway_of(torchserve, several()) as client:
        response = await client.post("/v1/models/echo:predict", json={"instances": INSTANCES})
        inputs = await client.post("/v1/models/echo:predict", json={"inputs": INSTANCES})
        refused = await client.post("/v1/models/echo:predict", content=b'{"instances": [1, NaN]}')
        many = await client.post("/v1/models/echo:predict", json={"instances": [[0] * 5000] * 2})
    assert response.json() == inputs.json() == {"predictions": INSTANCES}
    assert {request.headers["content-type"] for request in torchserve.requests} == {"application/json"}
    assert len(torchserve.requests) == 2 * len(INSTANCES) + 2
    assert (refused.status_code, many.status_code) == (400, 200)
    assert "instances[1] has a number" in refused.json()["detail"]


def infer(*elements: str, **others: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "BYTES", "shape": [len(elements)], "data": list(elements)}
    return {"inputs": [tensor | others.pop("input", {})], **others}


async def test_elements_of_a_tensor_are_text_or_bytes() -> None:
    torchserve, infer_path = FakeTorchServe(echo), "/v2/models/echo/infer"
    as_base64 = {"parameters": {"content_type": "base64"}}
    async with gateway_of(torchserve, several()) as client:
        text = (await client.post(infer_path, json=infer('{"age": 41}', "ü", ""))).json()
        raw = (
            await client.post(infer_path, json=infer(base64.b64encode(BYTES).decode(), input=as_base64))
        ).json()
    output = {"name": "output", "datatype": "BYTES"}
    assert text["outputs"] == [{**output, "shape": [3], "data": ['{"age": 41}', "ü", ""]}]
    encoded = base64.b64encode(BYTES).decode()
    assert raw["outputs"] == [{**output, "shape": [1], **as_base64, "data": [encoded]}]
    assert [request.content for request in torchserve.requests][-1] == BYTES


async def test_answers_come_as_bytes_behind_the_json() -> None:
    request = infer("a", "b", parameters={"binary_data_output": True})
    async with gateway_of(answering(BYTES), several()) as client:
        response = await client.post("/v2/models/echo/infer", json=request)
    length = int(response.headers["inference-header-content-length"])
    assert response.content[length:] == (struct.pack("<I", len(BYTES)) + BYTES) * 2


SCORES = b'{"cat": 0.75, "dog": 0.25}'


OUTPUTS = [
    ("animals", SCORES, ["classes", "probabilities"], 200),
    ("boxes", SCORES, ["output"], 400),
    ("echo", b"[1]", ["output"], 400),
    ("unknown", SCORES, ["classes", "probabilities"], 200),
    ("unknown", b"[1]", ["output"], 502),
]


async def test_a_classifier_has_classes_and_any_other_model_its_answers() -> None:
    data, torchserve = base64.b64encode(PNG).decode(), FakeTorchServe()
    async with gateway_of(torchserve, several()) as client:
        for model, answer, names, classes in OUTPUTS:
            torchserve.answer, path = answering(answer).answer, f"/v2/models/{model}/infer"
            response = (await client.post(path, json=infer(data))).json()
            assert [each["name"] for each in response["outputs"]] == names
            raw = await client.post(path, json=infer(data, outputs=[{"name": "output"}]))
            assert raw.json()["outputs"][0]["data"] == [answer.decode()]
            asked = await client.post(path, json=infer(data, outputs=[{"name": "classes"}]))
            assert asked.status_code == classes


async def test_the_metadata_say_which_tensors_a_model_has() -> None:
    def deployed(request: httpx.Request) -> httpx.Response:
        return described(version("1.0", ready=1, workers=1))

    async with gateway_of(FakeTorchServe(deployed), several()) as client:
        metadata = {
            model: (await client.get(f"/v2/models/{model}")).json()
            for model in ("genre", "animals", "boxes", "echo")
        }
    shapes = {
        model: {each["name"]: each["shape"] for each in (*of["inputs"], *of["outputs"])}
        for model, of in metadata.items()
    }
    assert shapes == {
        "genre": {"image": [-1], "classes": [-1, 10], "probabilities": [-1, 10]},
        # Another handler may answer with a part of the classes.
        "animals": {"image": [-1], "classes": [-1, -1], "probabilities": [-1, -1]},
        "boxes": {"image": [-1], "output": [-1]},
        "echo": {"input": [-1], "output": [-1]},
    }
