"""HEAD, and a slash at the end of a path: another way to ask for the same."""

import re

import pytest

from tests.encoded_images import SMALL
from tests.fake_torchserve import FakeTorchServe, described, version
from tests.faults.test_framing import answers
from tests.http_messages import HOST, asking
from tests.served_gateway import gateway, served_gateway

GET_PATHS = (
    *(
        "/health/live",
        "/health/ready",
        "/ping",
        "/models",
        "/models/genre",
        "/metrics",
        "/docs",
        "/openapi.json",
    ),
    *("/v1/models", "/v1/models/genre", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/genre"),
    *("/v2/models/genre/ready", "/v2/models/genre/versions/1", "/", "/no/such/path", "/models/unknown"),
)
# Of the moment, not of the path.
VARIES = re.compile(rb"(x-request-id|date): [^\r]*\r\n|\"request_id\":\s*\"[0-9a-f]+\"")


@pytest.mark.parametrize("path", [path for path in GET_PATHS if path != "/metrics"])
def test_head_is_answered_as_get_without_the_body(path: str) -> None:
    with served_gateway(FakeTorchServe(described(version("1", 1, 1)))) as server:
        got, asked = (
            answers(server, asking(b"%s %s HTTP/1.1" % (method, path.encode()), HOST, b"Connection: close"))
            for method in (b"GET", b"HEAD")
        )
    [(got_head, end, body)] = [answer.partition(b"\r\n\r\n") for answer in got]
    [asked_whole] = asked
    assert VARIES.sub(b"", asked_whole) == VARIES.sub(b"", got_head + end)
    assert body or got_head.startswith(b"HTTP/1.1 307 ")


@pytest.mark.parametrize("path", [path for path in GET_PATHS if path != "/"])
async def test_a_slash_at_the_end_changes_nothing(path: str) -> None:
    async with gateway(FakeTorchServe(described(version("1", 1, 1)))) as client:
        without, answer = [await client.get(each) for each in (path, f"{path}/")]
    assert answer.status_code == without.status_code
    assert answer.headers["content-type"] == without.headers["content-type"]
    assert "location" not in answer.headers
    if path != "/metrics":
        request_id = re.compile(r'"request_id":"\w+"')
        assert request_id.sub("", answer.text) == request_id.sub("", without.text)


@pytest.mark.parametrize("path", ["/predict", "/predictions/genre", "/predictions/genre/1", "/predict/batch"])
async def test_predictions_are_answered_with_a_slash_at_the_end(path: str) -> None:
    field = "files" if path == "/predict/batch" else "file" if path == "/predict" else "data"
    torchserve = FakeTorchServe()
    async with gateway(torchserve) as client:
        answer = await client.post(f"{path}/", files={field: ("a.png", SMALL["PNG"])})
    assert answer.status_code == 200
    assert torchserve.requests[-1].url.path.rstrip("1/") == "/predictions/genre"


async def test_an_encoded_slash_is_part_of_a_segment() -> None:
    torchserve = FakeTorchServe()
    async with gateway(torchserve) as client:
        answer = await client.post("/predictions/genre%2F", content=SMALL["PNG"])
    assert answer.status_code == 404
    assert torchserve.requests == []


@pytest.mark.parametrize(("path", "allowed"), [("/models", "GET, HEAD"), ("/predict", "POST")])
async def test_405_names_head_where_get_is_offered(path: str, allowed: str) -> None:
    async with gateway(FakeTorchServe()) as client:
        for each in (path, f"{path}/"):
            answer = await client.delete(each)
            assert answer.status_code == 405
            assert answer.headers["allow"] == allowed
        assert (await client.head("/predict")).status_code == 405


async def test_metrics_count_head_under_its_own_name_and_route() -> None:
    async with gateway(FakeTorchServe(described(version("1", 1, 1)))) as client:
        await client.head("/models/genre/")
        page = (await client.get("/metrics")).text
    [line] = [line for line in page.splitlines() if line.startswith('gateway_requests_total{method="HEAD"')]
    assert 'route="/models/{model}"' in line
    assert line.endswith(" 1.0")


async def test_head_is_not_in_openapi() -> None:
    async with gateway(FakeTorchServe()) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    assert not [path for path, offered in paths.items() if "head" in offered or path.endswith("/")]
