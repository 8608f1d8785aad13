"""What all containers of the stack have in common: each may do little, and says how it is."""

import pytest

from tests.processes import until
from tests.running_containers import SERVICES, Containers

each_service = pytest.mark.parametrize("service", SERVICES)


@each_service
def test_it_does_not_run_as_root(stack: Containers, service: str) -> None:
    for container in stack.of(service):
        assert int(stack("exec", container, "id", "-u")) > 0


@each_service
def test_its_root_file_system_is_read_only(stack: Containers, service: str) -> None:
    for container in stack.of(service):
        assert stack.inspect(container)["HostConfig"]["ReadonlyRootfs"]
        assert " / overlay ro," in stack("exec", container, "cat", "/proc/mounts")


@each_service
def test_its_health_check_passes(stack: Containers, service: str) -> None:
    until(lambda: all(stack.is_healthy(container) for container in stack.of(service)))


@pytest.mark.parametrize("service", ["torchserve", "haproxy", "gateway"])
def test_its_labels_say_what_it_is_and_from_which_commit(stack: Containers, service: str) -> None:
    container = stack.of(service)[0]
    labels = stack.inspect(container)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"]
    assert labels["org.opencontainers.image.revision"] not in ("", "unknown")


@pytest.mark.parametrize(
    ("service", "modules"),
    [("gateway", ["torch", "ts", "pip"]), ("torchserve", ["fastapi", "s3fs", "pip"])],
)
def test_it_has_only_what_it_needs(stack: Containers, service: str, modules: list[str]) -> None:
    container = stack.of(service)[0]
    found = f"import importlib.util as i; print([m for m in {modules} if i.find_spec(m)])"
    assert stack("exec", container, "python", "-c", found) == "[]\n"
