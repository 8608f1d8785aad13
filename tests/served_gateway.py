"""The gateway before a fake TorchServe: as an application in this process, or served over a real socket."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from tests.free_ports import free_ports
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.gateway.server import server_config
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.settings.project import ProjectSettings


@asynccontextmanager
async def gateway(torchserve: FakeTorchServe, *overrides: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application itself."""
    app = create_app(_settings(*overrides), httpx.MockTransport(torchserve))
    async with _client(app) as client:
        yield client


@dataclass
class _Behind:
    """The fake TorchServe of the test that runs."""

    torchserve: FakeTorchServe = field(default_factory=FakeTorchServe)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        return await self.torchserve(request)


@asynccontextmanager
async def shared_gateway(torchserve: FakeTorchServe, *overrides: str) -> AsyncIterator[httpx.AsyncClient]:
    """The same of an application that other tests use too, for answers that no earlier request changes.

    Not for readiness: what it asks TorchServe in the background may reach the next test's.
    """
    app, behind = _shared(*overrides)
    behind.torchserve = torchserve
    async with _client(app) as client:
        yield client


@cache
def _shared(*overrides: str) -> tuple[FastAPI, _Behind]:
    behind = _Behind()
    return create_app(_settings(*overrides), httpx.MockTransport(behind)), behind


def _settings(*overrides: str) -> ProjectSettings:
    # What the breaker does is in test_overload.py.
    return gateway_settings("gateway.upstream.breaker_failures=1000", *overrides)


def _client(app: FastAPI) -> httpx.AsyncClient:
    # As a server does: an exception that nobody answers becomes the 500 of the application.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


@asynccontextmanager
async def gateway_of_record(
    torchserve: Callable[[httpx.Request], Any], deployed: Mapping[str, DeployedModel], *overrides: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, which follows a record of these models by name."""
    with TemporaryDirectory() as directory:
        for name, model in deployed.items():
            DeploymentRecord(Path(directory)).write(name, model)
        settings = gateway_settings(f"torchserve.deployments_dir={directory}", *overrides)
        app = create_app(settings, httpx.MockTransport(torchserve))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://gateway", timeout=30) as client,
        ):
            yield client


@contextmanager
def served_gateway(torchserve: FakeTorchServe, *overrides: str) -> Iterator[uvicorn.Server]:
    """The application under uvicorn in a thread of its own, as app.py serves it."""
    [port] = free_ports(1)
    settings = gateway_settings(f"gateway.port={port}", *overrides)
    app = create_app(settings, httpx.MockTransport(torchserve))
    server = uvicorn.Server(server_config(app, settings.gateway))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            thread.join(timeout=0.01)
        yield server
    finally:
        server.should_exit = True
        thread.join()
