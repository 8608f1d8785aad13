"""The response cache in the gateway: who is asked, and that a swap leaves no old answer."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import structlog

from tests.composed_settings import gateway_settings
from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, error
from tests.redis_server import redis_server
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord

IMAGE = SMALL["PNG"]


def answered(request: httpx.Request) -> httpx.Response:
    """Names the version in its answer, as different versions answer differently."""
    return httpx.Response(200, json={request.url.path: 1.0})


@asynccontextmanager
async def gateway(
    torchserve: FakeTorchServe, directory: Path, *overrides: str
) -> AsyncIterator[httpx.AsyncClient]:
    settings = gateway_settings(
        f"torchserve.deployments_dir={directory}", "gateway.cache.enabled=true", *overrides
    )
    app = create_app(settings, httpx.MockTransport(torchserve))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30) as client,
    ):
        yield client


def deploy(directory: Path, version: str, sha256: str = "0" * 64) -> None:
    serving = VERSION.model_copy(update={"version": version, "sha256": sha256})
    DeploymentRecord(directory).write("genre", DeployedModel(serving=serving))


async def post(client: httpx.AsyncClient, path: str = "/predictions/genre", **headers: str) -> httpx.Response:
    return await client.post(
        path, content=IMAGE, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


async def test_the_same_image_is_asked_for_once(tmp_path: Path) -> None:
    deploy(tmp_path, "1.0")
    torchserve = FakeTorchServe(answered)
    async with gateway(torchserve, tmp_path) as client:
        first, second = await post(client), await post(client)
        metrics = (await client.get("/metrics")).text
    assert (first.headers["x-cache"], second.headers["x-cache"]) == ("miss", "hit")
    assert first.json() == second.json()
    assert second.headers["x-model-version"] == "1.0"
    assert [request.method for request in torchserve.requests].count("POST") == 1
    assert 'gateway_cache_requests_total{model="genre",result="hit"} 1.0' in metrics


async def test_a_batch_asks_once_for_each_different_image(tmp_path: Path) -> None:
    deploy(tmp_path, "1.0")
    torchserve = FakeTorchServe(answered)
    files = [("files", ("a", image)) for image in (IMAGE, IMAGE, SMALL["JPEG"], IMAGE)]
    with structlog.testing.capture_logs() as lines:
        async with gateway(torchserve, tmp_path) as client:
            response = await client.post("/predict/batch", files=files)
    assert [set(item) for item in response.json()] == [{"filename", "prediction"}] * 4
    assert len(torchserve.requests) == 2
    # One word cannot say what became of four images.
    assert "x-cache" not in response.headers
    assert all("cache" not in line for line in lines)


async def test_a_swap_leaves_no_old_answer_whatever_else_stays_the_same(tmp_path: Path) -> None:
    deploy(tmp_path, "1.0")
    torchserve = FakeTorchServe(answered)
    async with gateway(torchserve, tmp_path, "gateway.deployments_refresh_s=0.01") as client:
        await post(client)
        deploy(tmp_path, "2.0")
        for _ in range(1000):
            response = await post(client)
            version = response.headers["x-model-version"]
            # At every moment what is answered is what that version answers.
            assert response.json() == {f"/predictions/genre/{version}": 1.0}
            if version == "2.0":
                break
            await asyncio.sleep(0.01)
        assert version == "2.0"
        # The same version name with another archive is another version.
        deploy(tmp_path, "2.0", sha256="1" * 64)
        asked = len(torchserve.requests)
        for _ in range(1000):
            if (await post(client)).headers["x-cache"] == "miss":
                break
            await asyncio.sleep(0.01)
    assert len(torchserve.requests) == asked + 1


async def test_a_version_that_torchserve_answers_in_another_ones_stead_is_not_kept(tmp_path: Path) -> None:
    deploy(tmp_path, "2.0")

    def lacks_it(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/2.0"):
            return error(404, "ModelVersionNotFoundException", "Model version: 2.0 does not exist")
        return httpx.Response(200, json={"old": 1.0}, headers={"X-Model-Version": "1.0"})

    async with gateway(FakeTorchServe(lacks_it), tmp_path) as client:
        assert [(await post(client)).headers["x-cache"] for _ in range(2)] == ["miss", "miss"]


async def test_what_the_record_does_not_know_is_not_kept(tmp_path: Path) -> None:
    torchserve = FakeTorchServe(answered)
    async with gateway(torchserve, tmp_path) as client:
        for path in ("/predictions/other", "/predictions/genre/9.9"):
            responses = [await post(client, path) for _ in range(2)]
            assert not any("x-cache" in response.headers for response in responses)
    assert len(torchserve.requests) == 4


async def test_errors_are_not_kept_and_cache_control_is_respected(tmp_path: Path) -> None:
    deploy(tmp_path, "1.0")
    torchserve = FakeTorchServe(error(422, "UndecodableImageException", "no"))
    async with gateway(torchserve, tmp_path) as client:
        assert (await post(client)).status_code == 422
        torchserve.answer = answered
        assert (await post(client, cache_control="no-store")).headers["x-cache"] == "bypass"
        assert (await post(client)).headers["x-cache"] == "miss"
        assert (await post(client, cache_control="no-cache")).headers["x-cache"] == "bypass"
        assert (await post(client)).headers["x-cache"] == "hit"


async def test_an_answer_is_kept_with_its_headers_for_those_who_send_the_same_ones(tmp_path: Path) -> None:
    deploy(tmp_path, "1.0")
    torchserve = FakeTorchServe(httpx.Response(200, json={"a": 1.0}, headers={"X-My-Header": "mine"}))
    async with gateway(torchserve, tmp_path) as client:
        first = await post(client, accept_language="de", user_agent="one")
        again = await post(client, accept_language="de", user_agent="two")
        other = await post(client, accept_language="en", user_agent="one")
    assert [each.headers["x-cache"] for each in (first, again, other)] == ["miss", "hit", "miss"]
    assert {each.headers["x-my-header"] for each in (first, again, other)} == {"mine"}


async def test_a_status_of_the_handlers_own_is_not_kept(tmp_path: Path) -> None:
    deploy(tmp_path, "1.0")
    torchserve = FakeTorchServe(httpx.Response(201, json={"a": 1.0}))
    async with gateway(torchserve, tmp_path) as client:
        responses = [await post(client) for _ in range(2)]
    assert [(each.status_code, each.headers["x-cache"]) for each in responses] == [(201, "miss")] * 2


async def test_it_is_off_by_default(tmp_path: Path) -> None:
    deploy(tmp_path, "1.0")
    torchserve = FakeTorchServe(answered)
    async with gateway(torchserve, tmp_path, "gateway.cache.enabled=false") as client:
        responses = [await post(client) for _ in range(2)]
    assert not any("x-cache" in response.headers for response in responses)
    assert len(torchserve.requests) == 2


@pytest.fixture
def redis_url() -> Iterator[str]:
    with redis_server() as server:
        yield server.url


async def test_gateways_with_one_redis_share_their_answers_and_do_without_it_when_it_is_gone(
    tmp_path: Path, redis_url: str
) -> None:
    deploy(tmp_path, "1.0")
    named = httpx.Response(200, json={"a": 1.0}, headers=[(b"X-My-Header", b"caf\xe9")])
    one, two = FakeTorchServe(named), FakeTorchServe(answered)
    setting = f"gateway.cache.redis_url={redis_url}"
    async with gateway(one, tmp_path, setting) as first, gateway(two, tmp_path, setting) as second:
        assert (await post(first)).headers["x-cache"] == "miss"
        response = await post(second)
    assert response.headers["x-cache"] == "hit"
    assert response.headers["x-model-version"] == "1.0"
    assert response.headers["x-my-header"] == "caf\u00e9"
    assert two.requests == []
    async with gateway(two, tmp_path, "gateway.cache.redis_url=redis://127.0.0.1:1/0") as alone:
        assert [(await post(alone)).status_code for _ in range(2)] == [200, 200]
