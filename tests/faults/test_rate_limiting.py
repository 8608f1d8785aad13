"""Who sends more than the limit allows is told when to come again; everybody else notices nothing."""

import asyncio
import base64
import re
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe
from tests.faults.test_gateway_connections import (
    GIVE_UP_S,
    connection,
    is_problem,
    one_answer,
    until_closed,
)
from tests.http_client import HTTP
from tests.keys import bearer, with_keys, write_keys
from tests.redis_server import redis_server
from tests.served_gateway import gateway, served_gateway
from tests.shown_blocks import assert_same_words, shown_block

IMAGE = SMALL["PNG"]
RATE_LIMIT = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    return tmp_path / "api_keys.json"


async def post(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.post("/predictions/genre", content=IMAGE, headers=headers)


async def test_above_the_limit_of_its_key_a_caller_gets_429_and_others_do_not(keys_file: Path) -> None:
    keys = write_keys(keys_file, one=("predict",), two=("predict",))
    torchserve = FakeTorchServe()
    async with gateway(torchserve, *with_keys(keys_file), "gateway.rate_limit.per_key=3/day") as client:
        answers = [await post(client, **bearer(keys["one"])) for _ in range(4)]
        other = await post(client, **bearer(keys["two"]))
    assert [answer.status_code for answer in [*answers, other]] == [200, 200, 200, 429, 200]
    assert len(torchserve.requests) == 4
    # Successes, too, say what is left.
    left = [RATE_LIMIT.fullmatch(answer.headers["ratelimit"]).groups() for answer in answers]  # type: ignore[union-attr]
    assert [(name, remaining) for name, remaining, _ in left] == [("key", each) for each in "2100"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"key";q=3;w=86400'}
    headers = "".join(f"{name}: {answers[0].headers[name]}" for name in ("RateLimit-Policy", "RateLimit"))
    assert_same_words(headers, shown_block("docs/security.md", "RateLimit-Policy: "))
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1 <= int(refused.headers["retry-after"]) <= 86400
    assert refused.headers["retry-after"] == left[-1][2]
    assert "this key may send 3 per 1 day and has 0 left" in refused.json()["detail"]


async def test_without_keys_addresses_are_limited_and_open_paths_are_not() -> None:
    async with gateway(FakeTorchServe(), "gateway.rate_limit.per_address=2/day") as client:
        statuses = [(await post(client)).status_code for _ in range(3)]
        assert (await client.get("/metrics")).status_code == 429
        open_path = await client.get("/health/live")
    assert statuses == [200, 200, 429]
    assert open_path.status_code == 200
    assert "ratelimit" not in open_path.headers


async def test_after_the_time_that_it_was_told_a_caller_is_served_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed_s, clock = 0, time.time
    monkeypatch.setattr(time, "time", lambda: clock() + passed_s)
    async with gateway(FakeTorchServe(), "gateway.rate_limit.per_address=5/day") as client:
        for _ in range(20):
            while (answer := await post(client)).status_code == 200:
                pass
            assert answer.status_code == 429
            passed_s += int(answer.headers["retry-after"])
            assert (await post(client)).status_code == 200


async def test_every_image_of_a_batch_counts_and_a_batch_that_does_not_fit_is_refused_whole() -> None:
    torchserve = FakeTorchServe()

    async def batch(images: int) -> httpx.Response:
        return await client.post("/predict/batch", files=[("files", (str(n), IMAGE)) for n in range(images)])

    async with gateway(torchserve, "gateway.rate_limit.per_address=10/day") as client:
        fits, too_many, fits_again = await batch(4), await batch(7), await batch(5)
    assert [each.status_code for each in (fits, too_many, fits_again)] == [200, 429, 200]
    assert '"address";r=6;' in fits.headers["ratelimit"]
    # The refused request itself has counted as one.
    assert "has 5 left; this request counts as 6" in too_many.json()["detail"]
    assert len(torchserve.requests) == 9


async def test_so_does_every_image_in_the_protocols_of_kserve() -> None:
    text = base64.b64encode(IMAGE).decode()
    tensor = {"name": "image", "datatype": "BYTES", "shape": [4], "data": [text] * 4}
    torchserve = FakeTorchServe()
    async with gateway(torchserve, "gateway.rate_limit.per_address=10/day") as client:
        answers = [
            await client.post("/v1/models/genre:predict", json={"instances": [text] * 4}),
            await client.post("/v2/models/genre/infer", json={"inputs": [tensor]}),
            await client.post("/v2/models/genre/infer", json={"inputs": [tensor]}),
        ]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert answers[2].json()["error"] == answers[2].json()["detail"]
    assert len(torchserve.requests) == 8


async def test_who_tries_keys_is_limited_and_the_right_key_still_works(keys_file: Path) -> None:
    keys = write_keys(keys_file, one=("predict",))
    limit = "gateway.rate_limit.failed_keys_per_address=3/day"
    async with gateway(FakeTorchServe(), *with_keys(keys_file), limit) as client:
        tries = [await post(client, **headers) for headers in ({}, bearer("a"), bearer("b"), bearer("c"), {})]
        right = await post(client, **bearer(keys["one"]))
    assert [each.status_code for each in tries] == [401, 401, 401, 429, 429]
    assert tries[-1].headers["retry-after"]
    assert tries[-1].headers["connection"] == "close"
    # Whoever shares the address must not be shut out by a stranger.
    assert right.status_code == 200


def test_a_refusal_is_sent_before_the_body_and_who_tries_keys_loses_the_connection(keys_file: Path) -> None:
    write_keys(keys_file, one=("predict",))
    limit = "gateway.rate_limit.failed_keys_per_address=1/day"
    head = b"POST /predict HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000000\r\n\r\n"
    with served_gateway(FakeTorchServe(), *with_keys(keys_file), limit) as server:
        with connection(server) as client:
            client.sendall(head)
            assert is_problem(one_answer(client), 401)
        with connection(server) as client:
            client.sendall(head)
            assert is_problem(until_closed(client), 429)


@pytest.mark.parametrize(
    ("trusted", "served"),
    [("[]", 2), ("[127.0.0.1]", 4), ("[127.0.0.0/8]", 4), ("[192.0.2.1]", 2)],
)
def test_the_address_is_taken_from_a_header_only_if_the_proxy_is_trusted(trusted: str, served: int) -> None:
    overrides = "gateway.rate_limit.per_address=2/day", f"gateway.trusted_proxies={trusted}"
    with served_gateway(FakeTorchServe(), *overrides) as server:
        url = f"http://{server.config.host}:{server.config.port}/metrics"

        def status(forwarded_for: str) -> int:
            return HTTP.get(url, headers={"X-Forwarded-For": forwarded_for}).status_code

        statuses = [status(each) for each in ("198.51.100.1", "198.51.100.2") * 3]
        assert statuses.count(200) == served
        # What the client itself wrote stands before what the proxy adds.
        made_up = [status(f"203.0.113.{number}, 198.51.100.1") for number in range(3)]
    assert made_up == [429] * 3


@pytest.mark.slow
async def test_gateways_with_one_redis_count_together_and_go_on_without_it_when_it_is_gone() -> None:
    with redis_server() as redis:
        limit = "gateway.rate_limit.per_address=4/day", f"gateway.rate_limit.redis_url={redis.url}"
        async with AsyncExitStack() as stack:
            one, two = [await stack.enter_async_context(gateway(FakeTorchServe(), *limit)) for _ in range(2)]

            async def statuses() -> list[int]:
                return [(await post(client)).status_code for client in (one, two, one, two, one, two)]

            assert await statuses() == [200] * 4 + [429] * 2
            for stop, start in ((redis.freeze, redis.thaw), (redis.stop, redis.start)):
                stop()
                assert await statuses() == [200] * 6
                page = (await one.get("/metrics")).text
                start()
                await limited_again(one)
    unchecked = re.search(r"^gateway_rate_limit_unchecked_total (.*)$", page, re.MULTILINE)
    assert unchecked
    assert float(unchecked[1]) >= 6


async def limited_again(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(GIVE_UP_S):
        while (await post(client)).status_code != 429:  # noqa: ASYNC110 - Redis has no event for us
            await asyncio.sleep(0.05)
