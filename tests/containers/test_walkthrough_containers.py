"""docs/walkthrough.md in containers; test_kube_play.py has its Kubernetes."""

from dataclasses import replace

from tests.free_ports import free_ports
from tests.printed_output import Shown
from tests.running_containers import engine_here
from tests.walkthrough import IN_CONTAINERS, Reader

PROJECT = "torchserve-gateway-walkthrough"


def test_every_line_prints_what_the_page_shows(reader: Reader) -> None:
    engine = engine_here()
    assert engine, "neither docker with compose nor podman with podman-compose runs here"
    own = {
        "CONTAINER_ENGINE": engine,
        "COMPOSE_PROJECT_NAME": PROJECT,
        "GATEWAY_PORT": reader.gateway_port,
        "FILE_BROWSER_PORT": str(free_ports(1)[0]),
    }
    in_containers = replace(reader, environment=own)
    try:
        in_containers.follows(IN_CONTAINERS)
    finally:
        in_containers.types(Shown("make compose_down ARGS=--volumes", ""))
