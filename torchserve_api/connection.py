"""Both APIs of one TorchServe, or of each of several replicas, over one shared client."""

import asyncio
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from torchserve_api.errors import UnreachableError
from torchserve_api.inference import InferenceClient
from torchserve_api.management import ManagementClient
from torchserve_api.settings import TorchServeSettings
from torchserve_api.tokens import Tokens
from torchserve_api.transport import Transport, new_client


@dataclass(frozen=True)
class TorchServe:
    """The two APIs, and the client they share; whoever made this closes it, for example by `async with`.

    name: what tells it from other replicas, host and port of its Management API.
    """

    name: str
    inference: InferenceClient
    management: ManagementClient
    client: httpx.AsyncClient

    @classmethod
    def at(
        cls, settings: TorchServeSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> "TorchServe":
        """Connects to nothing yet. transport: what reaches TorchServe; tests pass their own."""
        client = new_client(settings, transport)
        return _connect(settings, client, settings.inference_url, settings.management_url)


async def replicas(settings: TorchServeSettings, client: httpx.AsyncClient) -> list[TorchServe]:
    """Every TorchServe behind `management_urls`: one per URL and per address that its host name has now.

    Raises:
        UnreachableError: a host name has no address.
    """
    found = {}
    for management_url in settings.management_urls:
        for host in await _addresses(management_url):
            netloc = f"{host}:{urlsplit(management_url).port}"
            inference_url = f"http://{host}:{settings.inference_port_of_replicas}"
            found[netloc] = _connect(settings, client, inference_url, f"http://{netloc}")
    return list(found.values())


def _connect(
    settings: TorchServeSettings, client: httpx.AsyncClient, inference_url: str, management_url: str
) -> TorchServe:
    tokens = Tokens(settings.key_file, management_url, client)
    inference = Transport(client, "inference", inference_url, tokens)
    management = Transport(client, "management", management_url, tokens)
    name = urlsplit(management_url).netloc
    return TorchServe(name, InferenceClient(inference), ManagementClient(management, settings), client)


async def _addresses(url: str) -> list[str]:
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise UnreachableError(f"TorchServe's management API: {host} has no address: {exc}") from exc
    # A machine with an address of each family would count twice.
    v4 = sorted({str(address[0]) for family, *_, address in found if family == socket.AF_INET})
    return v4 or sorted({f"[{address[0]}]" for _, *_, address in found})
