"""Whatever TorchServe does, the caller gets one clear error of the right status within the deadline."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fake_torchserve import FakeTorchServe, described, error, version
from tests.served_gateway import gateway, shared_gateway

UNREACHABLE = httpx.ConnectError("All connection attempts failed")
BROKEN = httpx.RemoteProtocolError("peer closed connection without sending complete message body")
FAULTS = [
    (UNREACHABLE, 502, "All connection attempts failed"),
    (BROKEN, 502, "without sending complete"),
    (httpx.ReadError("Connection reset by peer"), 502, "reset"),
    (error(503, "ServiceUnavailableException", 'Model "m" has no worker'), 503, "no worker"),
    (error(503, "InternalServerException", "Prediction failed"), 502, "Prediction failed"),
    (error(500, "InternalServerException", "Worker died."), 502, "Worker died."),
    (error(507, "InternalServerException", "Worker died."), 502, "Worker died."),
    (error(507, "InternalServerException", "Out of resources"), 502, "Out of resources"),
    (error(500, "InternalServerException", "something else"), 502, "something else"),
    (error(400, "InvalidKeyException", "Token Authorization failed."), 502, "no key file"),
    (error(404, "ModelNotFoundException", "Model not found: m"), 404, "Model not found: m"),
    (error(422, "UndecodableImageException", "the image cannot be decoded"), 422, "cannot be decoded"),
    (error(499, "TeapotException", "a status without a name"), 499, "without a name"),
    (error(415, "UnsupportedImageFormatException", "not an image"), 415, "not an image"),
    (httpx.Response(413), 413, "413"),
    (httpx.Response(500, content=b"<html>garbage"), 502, "garbage"),
    (httpx.Response(400, content=b'["garbage"]'), 400, "garbage"),
]


@pytest.mark.parametrize(("answer", "status", "said"), FAULTS)
async def test_every_failure_becomes_its_own_problem(
    answer: httpx.Response | Exception, status: int, said: str
) -> None:
    async with shared_gateway(FakeTorchServe(answer)) as client:
        for path in ("/predictions/m", "/predictions/m/1.0", "/explanations/m", "/explanations/m/1.0"):
            response = await client.post(path, content=b"image")
            problem = response.json()
            assert response.status_code == problem["status"] == problem["code"] == status
            assert response.headers["content-type"] == "application/problem+json"
            assert said in problem["detail"]
            assert problem["detail"].startswith(problem["message"])
            assert problem["request_id"] == response.headers["x-request-id"]
            assert ("retry-after" in response.headers) == (status == 503)


async def test_a_handler_that_fails_on_an_explanation_may_not_support_any() -> None:
    async with gateway(FakeTorchServe(error(503, "InternalServerException", "Prediction failed"))) as client:
        explanation = await client.post("/explanations/m", content=b"image")
        prediction = await client.post("/predictions/m", content=b"image")
    hint = "; the handler of m may not support explanations"
    assert explanation.json()["detail"] == f"Prediction failed{hint}"
    assert prediction.json()["detail"] == "Prediction failed"


@pytest.mark.parametrize(
    "path", ["/predictions/m", "/predictions/m/1.0", "/explanations/m", "/explanations/m/1.0"]
)
async def test_a_request_reaches_torchserve_by_the_same_path(path: str) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        for method in ("POST", "PUT"):
            response = await client.request(method, path, content=b"image")
            assert response.headers["x-model-name"] == "m"
            assert response.headers.get("x-model-version") == ("1.0" if path.endswith("1.0") else None)
    assert [request.url.path for request in torchserve.requests] == [path, path]


@pytest.mark.slow
async def test_a_request_that_torchserve_never_answers_ends_with_the_deadline() -> None:
    async with gateway(FakeTorchServe(hangs=True), "gateway.deadline_s=1.5") as client:
        response = await client.post("/predictions/m", content=b"image")
    assert response.status_code == 504
    assert "TorchServe did not answer within 1." in response.json()["detail"]


async def test_an_unforeseen_exception_is_a_500_that_tells_nothing() -> None:
    async with gateway(FakeTorchServe(RuntimeError("secret"))) as client:
        response = await client.post("/predictions/m", content=b"image")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.headers["x-request-id"] == response.json()["request_id"]


async def test_a_body_over_the_limit_is_refused_before_torchserve_sees_it() -> None:
    torchserve = FakeTorchServe()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    async with gateway(torchserve, "gateway.max_request_bytes=10000") as client:
        for content in (b"x" * 10_001, endless()):
            response = await client.post("/predictions/m", content=content)
            assert response.status_code == 413
            assert "10000" in response.json()["detail"]
        response = await client.post("/predict", files={"file": ("a.jpg", b"x" * 10_001)})
        assert response.status_code == 413
    assert torchserve.requests == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"content": b"image"}, "Content-Type is missing"),
        ({"json": {"data": "x"}}, "Content-Type is application/json"),
        ({"files": {"image": ("a.jpg", b"x")}}, "'image'"),
        ({"files": {"file": ("a.jpg", b"")}}, "'a.jpg' in field 'file' is empty"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "boundary"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data; boundary=b"}}, "form"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data; boundary=b"}}, "ends before"),
        ({"content": b"--b--", "headers": {"content-type": "multipart/form-data; boundary=b"}}, "no field"),
        ({"content": b"", "headers": {"content-type": "multipart/form-data; boundary=" + "b" * 300}}, "300"),
    ],
)
async def test_a_wrong_upload_is_400_and_says_what_would_be_right(form: dict[str, object], said: str) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        response = await client.post("/predict", **form)  # type: ignore[arg-type]
    assert response.status_code == 400
    assert said.lower() in response.json()["detail"].lower()
    assert response.json()["type"] == "urn:problem:malformed-request"
    assert torchserve.requests == []


async def test_a_second_file_is_413() -> None:
    async with gateway(FakeTorchServe()) as client:
        files = [("file", ("a.jpg", b"x")), ("file", ("b.jpg", b"x"))]
        response = await client.post("/predict", files=files)
    assert response.status_code == 413
    assert "more files than the allowed 1" in response.json()["detail"]


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [
        (None, "application/octet-stream"),
        ("application/x-www-form-urlencoded", "application/octet-stream"),
        ("image/jpeg", "image/jpeg"),
        ("application/json", "application/json"),
    ],
)
async def test_the_content_type_reaches_torchserve_as_one_it_understands(
    sent: str | None, forwarded: str
) -> None:
    torchserve = FakeTorchServe()
    async with shared_gateway(torchserve) as client:
        await client.post("/predictions/m", content=b"image", headers={"content-type": sent} if sent else {})
    [request] = torchserve.requests
    assert request.headers["content-type"] == forwarded


async def test_instructions_are_not_passed_on_and_names_stay_one_segment() -> None:
    """Neither a header that TorchServe acts on nor a name that is a path reaches TorchServe as such."""
    torchserve = FakeTorchServe()
    async with gateway(torchserve) as client:
        await client.post(
            "/predictions/a%2F..%2Fmodels", content=b"x", headers={"explain": "True", "cookie": "c"}
        )
    for request in torchserve.requests:
        assert "explain" not in request.headers
        assert "cookie" not in request.headers
        assert request.url.raw_path.startswith(b"/predictions/")
        assert b"/models" not in request.url.raw_path


@pytest.mark.parametrize(
    ("sent", "kept"), [("abc-1.2_3", True), ("x" * 129, False), ("a b", False), ("a\tb", False), ("", False)]
)
async def test_a_sane_request_id_is_kept_and_any_other_replaced(sent: str, kept: bool) -> None:
    async with shared_gateway(FakeTorchServe()) as client:
        response = await client.get("/health/live", headers={"x-request-id": sent})
    assert (response.headers["x-request-id"] == sent) is kept
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (described(version("1.0", ready=1, workers=2)), 200),
        (described(version("1.0", ready=0, workers=2)), 503),
        (error(404, "ModelNotFoundException", "Model not found: genre"), 503),
        (httpx.Response(200, content=b"garbage"), 503),
        (UNREACHABLE, 503),
    ],
)
async def test_readiness_tells_whether_a_prediction_would_be_served(
    answer: httpx.Response | Exception, status: int
) -> None:
    async with gateway(FakeTorchServe(answer)) as client:
        response = await client.get("/health/ready")
        assert response.status_code == status
        assert (await client.get("/health/live")).status_code == 200


async def test_ping_is_torchserves_own_answer() -> None:
    body = b'{\n  "status": "Healthy"\n}\n'
    async with gateway(FakeTorchServe(httpx.Response(200, content=body))) as client:
        assert (await client.get("/ping")).content == body
    async with gateway(FakeTorchServe(UNREACHABLE)) as client:
        assert (await client.get("/ping")).status_code == 502


async def test_an_unknown_path_and_a_wrong_method_are_problems_too() -> None:
    async with gateway(FakeTorchServe()) as client:
        for response, status in (
            (await client.get("/nothing"), 404),
            (await client.get("/predict"), 405),
            (await client.delete("/predictions/m"), 405),
        ):
            assert response.status_code == response.json()["status"] == status
            assert response.headers["content-type"] == "application/problem+json"
