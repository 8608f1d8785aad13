"""Connects to a TorchServe or to several replicas, over one shared pool of connections."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from torchserve_gateway.settings.torchserve import TorchServeSettings
from torchserve_gateway.torchserve_api.errors import UnreachableError
from torchserve_gateway.torchserve_api.http_pool import PooledTransport
from torchserve_gateway.torchserve_api.inference import InferenceClient
from torchserve_gateway.torchserve_api.management import ManagementClient
from torchserve_gateway.torchserve_api.tokens import Tokens
from torchserve_gateway.torchserve_api.transport import Transport

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TorchServe:
    """Both APIs of a TorchServe; the caller closes `http`."""

    name: str
    """Host and port of the Management API."""
    inference: InferenceClient
    management: ManagementClient
    http: httpx.AsyncBaseTransport
    """Connections of both APIs."""

    @classmethod
    def at(
        cls, settings: TorchServeSettings, transport: httpx.AsyncBaseTransport | None = None
    ) -> "TorchServe":
        """Makes the clients; the first call connects. transport: replaces the network in tests."""
        http = transport or PooledTransport(max_answer_bytes=settings.max_answer_bytes)
        return _connect(settings, http, settings.inference_url, settings.management_url)


async def replicas(settings: TorchServeSettings, http: httpx.AsyncBaseTransport) -> list[TorchServe]:
    """Resolves `management_urls`: a TorchServe per URL and per current address of its host name.

    A name that does not resolve, such as a stopped container's, counts as an unreachable TorchServe.
    """
    found = {}
    for management_url in settings.management_urls:
        url = urlsplit(management_url)
        addresses = await _addresses(url.hostname or "")
        for address in addresses:
            # Keeps the name of a single machine: people and TLS certificates use it.
            host = url.netloc.rsplit(":", 1)[0] if len(addresses) == 1 else address
            inference_url = f"{url.scheme}://{host}:{settings.inference_port_of_replicas}"
            replica = _connect(settings, http, inference_url, f"{url.scheme}://{host}:{url.port}")
            found[address, url.port] = replica
    return list(found.values())


async def reachable(found: Sequence[TorchServe], timeout_s: float) -> list[TorchServe]:
    """Replicas that answer; the log names the others and their failures.

    Raises:
        TorchServeError: no replica answers, or a replica answers a ping with an error.
    """
    reached, trouble = [], None
    for torchserve in found:
        try:
            await torchserve.inference.ping(timeout_s)
        except UnreachableError as exc:
            trouble = exc
            logger.warning("%s is left out: %s", torchserve.name, exc)
        else:
            reached.append(torchserve)
    if not reached and trouble:
        raise trouble
    return reached


def _connect(
    settings: TorchServeSettings, http: httpx.AsyncBaseTransport, inference_url: str, management_url: str
) -> TorchServe:
    tokens = Tokens(settings.key_file, management_url, http)
    inference = Transport(http, "inference", inference_url, tokens, settings)
    management = Transport(http, "management", management_url, tokens, settings)
    name = urlsplit(management_url).netloc
    return TorchServe(
        name,
        InferenceClient(inference, settings.max_response_size),
        ManagementClient(management, settings),
        http,
    )


async def _addresses(host: str) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return [host]
    # A machine with both address families must not count twice.
    v4 = sorted({str(address[0]) for family, *_, address in found if family == socket.AF_INET})
    return v4 or sorted({f"[{address[0]}]" for _, *_, address in found})
