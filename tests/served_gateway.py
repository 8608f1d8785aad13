"""The gateway before a fake TorchServe: as an application in this process, or served over a real socket."""

import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn

from tests.fake_torchserve import FakeTorchServe
from tests.free_ports import free_ports
from torchserve_gateway.gateway.application import create_app
from torchserve_gateway.gateway.server import server_config
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.project import ProjectSettings


@asynccontextmanager
async def gateway(torchserve: FakeTorchServe, *overrides: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application itself."""
    # What the breaker does is in test_overload.py.
    settings = load("gateway", ProjectSettings, ["gateway.upstream.breaker_failures=1000", *overrides])
    app = create_app(settings, httpx.MockTransport(torchserve))
    # As a server does: an exception that nobody answers becomes the 500 of the application.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


@contextmanager
def served_gateway(torchserve: FakeTorchServe, *overrides: str) -> Iterator[uvicorn.Server]:
    """The application under uvicorn in a thread of its own, as app.py serves it."""
    [port] = free_ports(1)
    settings = load("gateway", ProjectSettings, [f"gateway.port={port}", *overrides])
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
