"""In the gateway: a batch that a foreign handler fails is asked again one by one, its slots kept."""

import asyncio

import httpx
import pytest

from tests.fake_torchserve import FakeTorchServe, error
from tests.served_gateway import gateway_of_record
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.record.record import DeployedModel

BATCH = 4
FAILED = error(503, "InternalServerException", "Prediction failed")


class ForeignHandler:
    """Collects BATCH requests for its first batch, and fails a batch with a bad request in it."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.most_at_once = 0
        self._waiting: list[bytes] = []
        self._full = asyncio.Event()
        self._running = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"status": "Healthy"})
        if not self._full.is_set():
            self._waiting.append(request.content)
            if len(self._waiting) == BATCH:
                self.batches.append(BATCH)
                self._full.set()
            await self._full.wait()
            return FAILED
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        self.batches.append(1)
        await asyncio.sleep(0)
        self._running -= 1
        return FAILED if request.content == b"bad" else httpx.Response(200, content=request.content)


@pytest.mark.parametrize("max_isolated", [32, 0])
async def test_only_the_bad_request_of_a_batch_fails(max_isolated: int) -> None:
    handler, bodies = ForeignHandler(), [b"1", b"bad", b"3", b"4"]
    deployed = {"pets": DeployedModel(serving=VERSION)}
    override = f"gateway.upstream.max_isolated={max_isolated}"
    async with gateway_of_record(FakeTorchServe(handler), deployed, override) as client:
        headers = {"Content-Type": "application/octet-stream"}
        answers = await asyncio.gather(
            *(client.post("/predictions/pets", content=body, headers=headers) for body in bodies)
        )
        metrics = (await client.get("/metrics")).text
    if not max_isolated:
        assert [each.status_code for each in answers] == [502] * BATCH
        assert handler.batches == [BATCH]
        assert 'gateway_isolated_total{result="skipped"} 4.0' in metrics
        return
    assert [each.status_code for each in answers] == [200, 502, 200, 200]
    assert [each.content for each in answers if each.status_code == 200] == [b"1", b"3", b"4"]
    assert (handler.batches, handler.most_at_once) == ([BATCH, 1, 1, 1, 1], 1)
    assert 'gateway_isolated_total{result="answered"} 3.0' in metrics
    assert 'gateway_isolated_total{result="failed"} 1.0' in metrics
