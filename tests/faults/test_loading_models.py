"""Requests for a model that TorchServe lists while none of its workers is READY."""

import asyncio

import httpx
import pytest

from tests.fake_torchserve import FakeTorchServe, described, error, version
from tests.served_gateway import gateway


def keeps_requests(answer: httpx.Response) -> FakeTorchServe:
    """A TorchServe that answers no prediction, and describes the model like this."""

    async def torchserve(request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            await asyncio.sleep(3600)
        return answer

    return FakeTorchServe(torchserve)


async def test_a_request_for_a_model_that_loads_is_503_with_retry_after_at_once() -> None:
    torchserve = keeps_requests(described(version("1.0", ready=0, workers=2)))
    async with gateway(torchserve, "gateway.deadline_s=20") as client:
        for _ in range(2):
            response = await client.put("/predictions/other", content=b"x", timeout=10)
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) > 0
            assert "other is loading: none of its workers is READY yet" in response.json()["detail"]
    assert len(torchserve.jobs) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        described(version("1.0", ready=1, workers=2)),
        described(version("1.0", ready=0, workers=0)),
        error(404, "ModelNotFoundException", "Model not found: other"),
        httpx.Response(200, content=b"something else"),
    ],
    ids=["READY", "no workers", "not listed", "not TorchServe's"],
)
async def test_any_other_slow_model_is_waited_for(answer: httpx.Response) -> None:
    torchserve = keeps_requests(answer)
    async with gateway(torchserve, "gateway.deadline_s=0.5") as client:
        response = await client.put("/predictions/other", content=b"x")
    assert response.status_code == 504
    assert len(torchserve.requests) == 2
