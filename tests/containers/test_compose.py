"""The stack of docker/compose.yaml: it serves from one TorchServe or several, and its networks are apart."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import httpx

from tests.processes import until
from tests.running_containers import SERVICES, Containers
from tests.steady_load import steady_load

TORCHSERVES = 3
# Answers while one of them is gone.
MEANWHILE = 30


def predict(stack: Containers, image: Path, headers: dict[str, str] | None = None) -> httpx.Response:
    url = f"{stack.gateway_url}/predictions/genre"
    return httpx.put(url, content=image.read_bytes(), headers=headers, timeout=60)


def is_predicted(stack: Containers, image: Path) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return predict(stack, image).status_code == 200
    return False


def genre_of(image: Path) -> str:
    return image.stem.removesuffix("-2").replace("-", " ").title()


def serves_everywhere(stack: Containers, version: str) -> bool:
    """Whether this version and no other is on every TorchServe, as the default one, its workers READY."""
    # A version that is kept for a rollback is on none.
    rows = [row for row in stack.deployed() if row["state"] != "kept"]
    found = [(row["version"], row["on"], row["default_on"], row["workers_ready"]) for row in rows]
    return found == [(version, TORCHSERVES, TORCHSERVES, TORCHSERVES)]


def test_the_archive_of_the_file_browser_is_served(stack: Containers, images: list[Path]) -> None:
    assert [(row["version"], row["state"]) for row in stack.deployed()] == [("1.0", "serving")]
    for image in images:
        answer = predict(stack, image)
        assert answer.status_code == 200, answer.text
        assert next(iter(answer.json())) == genre_of(image)


def test_the_file_browser_lists_the_archives(stack: Containers) -> None:
    assert "genre-1.0.mar" in httpx.get(stack.file_browser_url).text


def test_only_gateway_and_file_browser_are_published(stack: Containers) -> None:
    published = {
        service: [line for each in stack.of(service) for line in stack("port", each).splitlines()]
        for service in SERVICES
    }
    assert published == {
        "torchserve": [],
        "haproxy": [],
        "gateway": [f"5003/tcp -> 127.0.0.1:{stack.gateway_port}"],
        "file-browser": [f"5002/tcp -> 127.0.0.1:{stack.file_browser_port}"],
    }


def test_a_management_api_is_reached_from_its_own_network_alone(stack: Containers) -> None:
    [torchserve] = stack.of("torchserve")
    [network] = stack.inspect(torchserve)["NetworkSettings"]["Networks"].values()
    by_address = f"http://{network['IPAddress']}:8081/models"
    assert stack.asks("serving", by_address)
    assert stack.asks("published", "http://gateway:5003/health/live")
    assert not stack.asks("published", by_address)
    assert not stack.asks("published", "http://torchserve:8081/models")


def test_torchserve_has_no_way_out(stack: Containers) -> None:
    [torchserve] = stack.of("torchserve")
    routes = stack("exec", torchserve, "cat", "/proc/net/route").splitlines()[1:]
    destinations = [route.split()[1] for route in routes]
    assert destinations
    assert "00000000" not in destinations


def test_scaled_up_every_torchserve_serves_what_is_on_record(scaled: Containers) -> None:
    assert len(scaled.of("torchserve")) == TORCHSERVES
    until(lambda: serves_everywhere(scaled, "1.0"))


def test_a_deploy_and_a_rollback_under_load_lose_no_request(scaled: Containers) -> None:
    with steady_load(scaled.gateway_url) as tally:
        scaled.make("compose_upload_model", "VERSION=2.0", "ARGS=model.workers=1")
        assert serves_everywhere(scaled, "2.0")
        scaled.make("compose_rollback")
        assert serves_everywhere(scaled, "1.0")
    assert not tally.errors


def test_a_killed_torchserve_costs_no_request_and_comes_back(scaled: Containers) -> None:
    [first, *_] = scaled.of("torchserve")
    with steady_load(scaled.gateway_url) as tally:
        scaled("kill", first)
        before = tally.answered
        until(lambda: tally.answered >= before + MEANWHILE)
        scaled("start", first)
        until(lambda: serves_everywhere(scaled, "1.0"))
    assert not tally.errors


def test_stopped_all_end_well_and_started_they_serve_again(scaled: Containers, images: list[Path]) -> None:
    # As compose does: who asks stops before who is asked.
    names = [name for service in reversed(SERVICES) for name in scaled.of(service)]
    for name in names:
        scaled("stop", "--time", "30", name)
    assert {name: scaled.inspect(name)["State"]["ExitCode"] for name in names} == dict.fromkeys(names, 0)
    for name in reversed(names):
        scaled("start", name)
    until(lambda: is_predicted(scaled, images[0]))


def test_prometheus_reaches_the_gateway_and_every_torchserve(scaled: Containers) -> None:
    scraped = ["gateway", *["torchserve"] * TORCHSERVES]
    with_prometheus = replace(scaled, environment=prometheus_image(scaled))
    with_prometheus.compose("--profile", "monitoring", "up", "-d", "--no-deps", "prometheus")
    until(lambda: sorted(jobs_that_are_up(scaled)) == scraped)


def test_with_keys_only_who_has_one_is_answered(stack: Containers, images: list[Path]) -> None:
    [key] = stack.make("compose_api_key", "NAME=mobile").splitlines()
    with_keys = replace(stack, environment={"GATEWAY_KEYS": "true"})
    with_keys.compose("up", "-d", "--no-deps", "gateway")
    until(lambda: with_keys.is_healthy(with_keys.of("gateway")[0]))
    assert predict(with_keys, images[0]).status_code == 401
    assert predict(with_keys, images[0], {"X-API-Key": key}).status_code == 200


def prometheus_image(stack: Containers) -> dict[str, str]:
    """The one that is here, where it is another than compose would pull."""
    image = "docker.io/prom/prometheus:latest"
    return {"PROMETHEUS_IMAGE": image} if stack.succeeds("image", "inspect", image) else {}


def jobs_that_are_up(stack: Containers) -> list[str]:
    """The job of each target, as Prometheus says to its neighbours."""
    [gateway] = stack.of("gateway")
    url = "http://prometheus:9090/api/v1/query?query=up==1"
    asked = f"import urllib.request as u; print(u.urlopen('{url}').read().decode())"
    if not stack.succeeds("exec", gateway, "python", "docker/answers.py", url):
        return []
    result = json.loads(stack("exec", gateway, "python", "-c", asked))["data"]["result"]
    return [each["metric"]["job"] for each in result]
