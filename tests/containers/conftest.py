"""One stack in containers for the session, of images of this checkout."""

from collections.abc import Iterator

import pytest

from tests.free_ports import free_ports
from tests.printed_output import Shown
from tests.running_containers import Containers, engine_here
from tests.walkthrough import DEPLOYED, LIMITED, PREPARED, Reader, lines

# What `make serve` finds out and writes before it starts anything.
DESCRIBED = (
    "from torchserve_gateway.onboarding.asked import Asked; "
    "from torchserve_gateway.onboarding.description import describe; "
    'describe(Asked("posters.pt", labels="config/model/posters.labels.txt"), update=True)'
)


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


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """A reader of docs/walkthrough.md who has done what its first sections do, without a stack."""
    reader = Reader(tmp_path_factory.mktemp("reader") / "checkout")
    reader.clones()
    reader.follows(PREPARED)
    reader.types(Shown(f".venv/bin/python -c '{DESCRIBED}'", ""))
    for line in (*lines(DEPLOYED), *lines(LIMITED)):
        if line.command.startswith(("sed ", "echo ", "make api_key ")):
            reader.types(line)
    # In the place of recorded answers.
    sample = "samples: [{image: imgs/horror.jpg, expected_class: Horror}]"
    reader.types(Shown(f"sed -i 's|^samples: .*|{sample}|' config/model/posters.yaml", ""))
    return reader
