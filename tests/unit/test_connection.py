"""Which TorchServes a configuration means, and which of them are there."""

import logging
import socket
from collections.abc import Sequence

import httpx
import pytest

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from torchserve_gateway.settings.composition import ConfigurationError
from torchserve_gateway.settings.torchserve import TorchServeSettings
from torchserve_gateway.torchserve_api.connection import TorchServe, reachable, replicas
from torchserve_gateway.torchserve_api.errors import UnreachableError

ADDRESSES = {
    "torchserve": ["10.0.0.2", "10.0.0.1", "10.0.0.3", "10.0.0.1"],
    "localhost": ["127.0.0.1", "::1"],
    "127.0.0.1": ["127.0.0.1"],
    "one.example": ["10.0.0.4"],
    "v6": ["2001:db8::1", "2001:db8::2"],
    "::1": ["::1"],
}


@pytest.fixture(autouse=True)
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name service that knows these names and no others."""

    def getaddrinfo(host: str, *_: object) -> list[tuple[object, ...]]:
        if host not in ADDRESSES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in ADDRESSES[host]]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, 0))
            for family, address in zip(families, ADDRESSES[host], strict=True)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def settings(management_urls: Sequence[str], *extra: str) -> TorchServeSettings:
    overrides = [f"torchserve.management_urls={list(management_urls)}", *extra]
    return gateway_settings(*overrides).torchserve


async def found(torchserve: FakeTorchServe, *management_urls: str) -> list[TorchServe]:
    return await replicas(settings(management_urls), httpx.MockTransport(torchserve))


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        (["http://torchserve:8081"], ["10.0.0.1:8081", "10.0.0.2:8081", "10.0.0.3:8081"]),
        (["http://one.example:8081", "http://10.0.0.9:8081"], ["one.example:8081", "10.0.0.9:8081"]),
        (["http://one.example:8081", "http://one.example:9081"], ["one.example:8081", "one.example:9081"]),
        (["http://localhost:8081"], ["localhost:8081"]),
        (["http://localhost:8081", "http://127.0.0.1:8081"], ["127.0.0.1:8081"]),
        (["http://v6:8081"], ["[2001:db8::1]:8081", "[2001:db8::2]:8081"]),
        (["http://[::1]:8081"], ["[::1]:8081"]),
    ],
)
async def test_every_address_of_every_name_is_one_replica(urls: list[str], names: list[str]) -> None:
    assert [each.name for each in await found(FakeTorchServe(), *urls)] == names


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://one.example:8081", "http://one.example:8080/ping"),
        # Its certificate names it.
        ("https://one.example:8081", "https://one.example:8080/ping"),
    ],
)
async def test_a_replica_s_own_inference_api_is_asked_not_the_balancer_s(url: str, asked: str) -> None:
    torchserve = FakeTorchServe()
    [replica] = await found(torchserve, url)
    await replica.inference.ping(1)
    assert [str(request.url) for request in torchserve.requests] == [asked]


async def test_a_name_without_an_address_is_a_replica_that_cannot_be_reached(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "stopped":
            raise httpx.ConnectError("Name or service not known")
        return httpx.Response(200)

    both = await found(FakeTorchServe(answer), "http://stopped:8081", "http://one.example:8081")
    assert [each.name for each in both] == ["stopped:8081", "one.example:8081"]
    with caplog.at_level(logging.WARNING):
        assert [each.name for each in await reachable(both, 1)] == ["one.example:8081"]
    assert "stopped:8081 is left out" in caplog.text
    with pytest.raises(UnreachableError, match="http://stopped:8080: Name or service not known"):
        await reachable(both[:1], 1)


def test_several_replicas_with_tokens_are_refused() -> None:
    urls = ["http://10.0.0.1:8081", "http://10.0.0.2:8081"]
    with pytest.raises(ConfigurationError, match=r"need torchserve\.token_authorization=false"):
        settings(urls, "torchserve.token_authorization=true")
