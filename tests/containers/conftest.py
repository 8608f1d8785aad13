"""One stack in containers for the session, of images of this checkout."""

from collections.abc import Iterator

import pytest

from tests.free_ports import free_ports
from tests.running_containers import Containers, engine_here


@pytest.fixture(scope="session")
def stack() -> Iterator[Containers]:
    """Everything in containers, one TorchServe, genre 1.0 deployed from the file browser."""
    engine = engine_here()
    assert engine, "neither docker with compose nor podman with podman-compose runs here"
    gateway_port, file_browser_port = free_ports(2)
    containers = Containers(engine, gateway_port, file_browser_port)
    try:
        containers.make("compose_up", "ARGS=model.workers=1")
        yield containers
    finally:
        containers.make("compose_down", "ARGS=--volumes")


@pytest.fixture(scope="session")
def scaled(stack: Containers) -> Containers:
    """The same with three TorchServes."""
    stack.make("compose_up", "TORCHSERVES=3", "ARGS=model.workers=1")
    return stack
