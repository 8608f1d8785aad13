"""The gateway before a fake TorchServe: as an application in this process, or served over a real socket."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn

from tests.composed_settings import gateway_settings
from tests.fake_torchserve import FakeTorchServe
from tests.free_ports import free_ports
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.gateway.server import server_config
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord


@asynccontextmanager
async def gateway(torchserve: FakeTorchServe, *overrides: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application itself."""
    # What the breaker does is in test_overload.py.
    settings = gateway_settings("gateway.upstream.breaker_failures=1000", *overrides)
    app = create_app(settings, httpx.MockTransport(torchserve))
    # As a server does: an exception that nobody answers becomes the 500 of the application.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


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
