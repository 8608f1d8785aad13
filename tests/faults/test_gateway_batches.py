"""Many images in one request: each gets what it would get alone, in the order sent."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from PIL import Image

from tests.encoded_images import FORMATS, SMALL, encoded
from tests.fake_torchserve import FakeTorchServe, error
from tests.served_gateway import gateway, shared_gateway

JPEG, PNG = SMALL["JPEG"], SMALL["PNG"]


def files(*images: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("files", (f"{index}.jpg", image)) for index, image in enumerate(images)]


def length_of(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"length": len(request.content)}, headers={"X-Model-Version": "1.0"})


def to_png(answer: httpx.Response | Exception) -> Callable[[httpx.Request], httpx.Response]:
    """Meets the PNG with that; other images are answered."""

    def answered(request: httpx.Request) -> httpx.Response:
        if request.content != PNG:
            return length_of(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return answered


async def test_images_are_answered_in_the_order_sent() -> None:
    images = [SMALL[name] for name in FORMATS] * 2

    async def last_one_first(request: httpx.Request) -> httpx.Response:
        for _ in range(100 - len(torchserve.requests)):
            await asyncio.sleep(0)
        return length_of(request)

    torchserve = FakeTorchServe(last_one_first)
    async with gateway(torchserve) as client:
        response = await client.post("/predict/batch", files=files(*images))
    assert response.status_code == 200
    assert response.json() == [
        {"filename": f"{index}.jpg", "prediction": {"length": len(image)}}
        for index, image in enumerate(images)
    ]
    assert sorted(each.content for each in torchserve.requests) == sorted(images)
    assert response.headers["x-model-name"] == "genre"
    assert response.headers["x-model-version"] == "1.0"
    assert response.headers["server-timing"].startswith("gateway;dur=")


async def test_a_bad_image_fails_alone_with_the_error_it_would_get_alone() -> None:
    bomb = encoded(Image.new("1", (8000, 8000)))
    sent = {b"": 400, b"no image": 415, JPEG[:20]: 422, bomb: 413, bytes(50_001): 413, JPEG: None}
    async with gateway(FakeTorchServe(), "gateway.max_request_bytes=50000") as client:
        response = await client.post("/predict/batch", files=files(*sent))
        assert response.status_code == 200
        for item, (image, status) in zip(response.json(), sent.items(), strict=True):
            if status is None:
                assert item["prediction"] == {"Horror": 1.0}
                continue
            alone = (await client.post("/predict", files={"file": (item["filename"], image)})).json()
            assert item["error"]["status"] == alone["status"] == status
            assert set(item["error"]) == {"type", "title", "status", "detail"}
            assert item["error"]["type"] == alone["type"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (error(503, "ServiceUnavailableException", "no worker"), 503),
        (error(422, "UndecodableImageException", "the image cannot be decoded"), 422),
        (httpx.ConnectError("refused"), 502),
        (httpx.Response(200, content=b"garbage"), 502),
        (httpx.Response(200, content=b'{"Horror": NaN}'), 502),
    ],
)
async def test_torchserves_refusal_of_one_image_is_that_images_error(
    answer: httpx.Response | Exception, status: int
) -> None:
    async with shared_gateway(FakeTorchServe(to_png(answer))) as client:
        response = await client.post("/predict/batch", files=files(JPEG, PNG, JPEG))
    assert response.status_code == 200
    first, second, third = response.json()
    assert first["prediction"] == third["prediction"] == {"length": len(JPEG)}
    assert second["error"]["status"] == status


@pytest.mark.slow
async def test_an_image_that_is_never_answered_fails_alone_at_the_deadline() -> None:
    async def never_png(request: httpx.Request) -> httpx.Response:
        if request.content == PNG:
            await asyncio.sleep(3600)
        return length_of(request)

    async with gateway(FakeTorchServe(never_png), "gateway.deadline_s=2") as client:
        response = await client.post("/predict/batch", files=files(PNG, JPEG))
    late, answered = response.json()
    assert late["error"]["status"] == 504
    assert answered["prediction"] == {"length": len(JPEG)}


@pytest.mark.slow
async def test_images_that_wait_for_their_turn_at_the_deadline_are_504_and_never_sent() -> None:
    torchserve = FakeTorchServe(hangs=True)
    overrides = ("gateway.deadline_s=0.5", "gateway.batch_concurrency=2")
    async with gateway(torchserve, *overrides) as client:
        response = await client.post("/predict/batch", files=files(*[JPEG] * 6))
    assert [item["error"]["status"] for item in response.json()] == [504] * 6
    assert len(torchserve.jobs) <= 2


async def test_a_request_has_at_most_its_share_at_torchserve() -> None:
    running = most = 0
    full = asyncio.Event()

    async def count(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 3:
            full.set()
        await full.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        running -= 1
        return length_of(request)

    async with gateway(FakeTorchServe(count), "gateway.batch_concurrency=3") as client:
        response = await client.post("/predict/batch", files=files(*[JPEG] * 12))
    assert all("prediction" in item for item in response.json())
    assert most == 3


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"files": files(*[JPEG] * 5)}, 413, "more files than the allowed 4"),
        ({"files": files(bytes(100_000))}, 413, "at most 100000"),
        ({"files": {"file": ("a.jpg", JPEG)}}, 400, "as a file in field 'files'"),
        ({"content": JPEG}, 400, "Content-Type is missing"),
        ({"json": []}, 400, "Content-Type is application/json"),
    ],
)
async def test_a_request_that_is_wrong_as_a_whole(form: dict[str, object], status: int, said: str) -> None:
    torchserve = FakeTorchServe()
    overrides = ("gateway.max_batch_images=4", "gateway.max_batch_request_bytes=100000")
    async with shared_gateway(torchserve, *overrides) as client:
        response = await client.post("/predict/batch", **form)  # type: ignore[arg-type]
    assert response.status_code == response.json()["status"] == status
    assert said in response.json()["detail"]
    assert torchserve.requests == []


async def test_a_form_that_breaks_off_loses_no_image_silently() -> None:
    request = httpx.Request("POST", "http://gateway/predict/batch", files=files(JPEG, PNG))
    body = request.read()
    torchserve = FakeTorchServe()
    async with gateway(torchserve) as client:
        for end in (len(body) - 10, len(body) - len(PNG)):
            response = await client.post(request.url, content=body[:end], headers=request.headers)
            assert response.status_code == 400
            assert "ends before its last boundary" in response.json()["detail"]
    assert torchserve.requests == []
