"""Three TorchServes behind HAProxy: a deploy reaches all or none, and what dies costs no request."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.conftest import require_program
from tests.http_client import HTTP
from tests.processes import until
from tests.running_replicas import HOSTS, RunningReplicas
from tests.shown_blocks import assert_same_words, quoted_text
from tests.steady_load import FLOWING, steady_load

pytestmark = [pytest.mark.long, pytest.mark.begins_first]

# Between two looks at the replicas.
POLL_S = 0.05
Command = Callable[[], subprocess.CompletedProcess[str]]


class FirstDeploy(NamedTuple):
    before: httpx.Response
    result: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, built_archive: Path) -> Iterator[RunningReplicas]:
    haproxy = require_program("haproxy")
    configured = RunningReplicas.configure(tmp_path_factory.mktemp("replicas"), built_archive)
    with configured.running(haproxy) as replicas:
        yield replicas


@pytest.fixture(scope="module")
def first_deploy(started: RunningReplicas, images: list[Path]) -> FirstDeploy:
    before = predict(started, images[0])
    return FirstDeploy(before, deploy(started, "1.0"))


@pytest.fixture
def replicas(started: RunningReplicas, first_deploy: FirstDeploy) -> RunningReplicas:
    return started


def predict(replicas: RunningReplicas, image: Path, path: str = "/predictions/genre") -> httpx.Response:
    return HTTP.put(replicas.gateway_url + path, content=image.read_bytes(), timeout=60)


def deploy(replicas: RunningReplicas, version: str, *extra: str) -> subprocess.CompletedProcess[str]:
    replicas.deployer.add_archive(version)
    return replicas.deployer.upload_model(version, *extra)


def while_watched(replicas: RunningReplicas, command: Command) -> subprocess.CompletedProcess[str]:
    """Runs a command; whenever a replica is looked at meanwhile, it serves."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(command)
        while not running.done():
            assert None not in replicas.serving()
            time.sleep(POLL_S)
        return running.result()


def assert_refused(result: subprocess.CompletedProcess[str], said: str) -> None:
    assert result.returncode == 1, result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("failed: ")]
    assert said in line


def assert_all_serve(replicas: RunningReplicas, version: str) -> None:
    """This version, nothing else, nowhere another."""
    assert replicas.on_record() == version
    assert replicas.serving() == [version] * len(HOSTS)
    assert [replica.versions() for replica in replicas.replicas] == [[version]] * len(HOSTS)


def replicas_of(replicas: RunningReplicas, version: str) -> str:
    overview = replicas.overview()
    assert overview.returncode == 0, overview.stderr
    [row] = [row for row in json.loads(overview.stdout) if row["version"] == version]
    assert row["default_on"] == row["on"]
    return f"{row['on']}/{row['of']}"


def test_without_a_version_clients_are_told_to_come_back(first_deploy: FirstDeploy) -> None:
    assert first_deploy.before.status_code == 503
    assert first_deploy.before.headers["retry-after"] == "1"
    assert first_deploy.before.json()["detail"] == "no TorchServe can serve now"


def test_the_first_deploy_reaches_all(replicas: RunningReplicas, first_deploy: FirstDeploy) -> None:
    assert first_deploy.result.returncode == 0, first_deploy.result.stderr
    assert first_deploy.result.stdout == "genre 1.0 serves\n"
    assert_all_serve(replicas, replicas.on_record())
    assert replicas_of(replicas, replicas.on_record()) == "3/3"


def test_a_swap_and_a_rollback_leave_all_serving_at_every_moment(replicas: RunningReplicas) -> None:
    before, version = replicas.on_record(), replicas.deployer.fresh_version()
    with steady_load(replicas.gateway_url) as tally:
        swapped = while_watched(replicas, lambda: deploy(replicas, version))
        assert swapped.returncode == 0, swapped.stderr
        assert_all_serve(replicas, version)
        back = while_watched(replicas, replicas.deployer.rollback)
        assert back.returncode == 0, back.stderr
        assert_all_serve(replicas, before)
    assert set(tally.versions) == {before, version}


def test_what_the_third_cannot_load_is_taken_away_from_the_first_two(replicas: RunningReplicas) -> None:
    before, version = replicas.on_record(), replicas.deployer.fresh_version()
    # TorchServe unpacks archives there, which a full disk keeps it from, too.
    unpacked = replicas.replicas[2].runtime_dir / "torchserve" / "models"
    aside = unpacked.rename(unpacked.with_name("aside"))
    unpacked.touch()
    try:
        with steady_load(replicas.gateway_url) as tally:
            result = while_watched(replicas, lambda: deploy(replicas, version))
    finally:
        unpacked.unlink()
        aside.rename(unpacked)
    assert_refused(
        result, f"genre {version} was not deployed: {HOSTS[2]}:{replicas.management_port}: Failed to save"
    )
    assert f"{HOSTS[1]}:{replicas.management_port}: 1 workers of genre {version} READY" in result.stderr
    assert set(tally.versions) == {before}
    assert_all_serve(replicas, before)
    assert not list((replicas.directory / "model_store").glob(f"*{version}.mar"))


def test_a_killed_replica_costs_no_request_and_comes_back_with_what_is_on_record(
    replicas: RunningReplicas,
) -> None:
    before, victim = replicas.on_record(), replicas.replicas[2]
    version = replicas.deployer.fresh_version()
    with steady_load(replicas.gateway_url) as tally:
        victim.kill()
        refused = deploy(replicas, version)
        assert_refused(refused, f"nothing was changed: TorchServe's inference API at http://{HOSTS[2]}")
        address = "TorchServe's inference API at http://127.0.0.4:8080"
        said = f"failed: nothing was changed: {address}: [Errno 111] Connect call failed ..."
        assert_same_words(refused.stderr, f"...{quoted_text('docs/replicas.md', said)}")
        assert replicas.serving() == [before, before, None]
        assert replicas_of(replicas, before) == "2/3"
        assert HTTP.get(f"{replicas.gateway_url}/health/ready").status_code == 200

        deployed = replicas.deployer.upload_model(version, "unreachable_replicas=skip")
        assert deployed.returncode == 0, deployed.stderr
        assert f"{HOSTS[2]}:{replicas.management_port} is left out" in deployed.stderr
        assert replicas.serving() == [version, version, None]

        victim.start()
        until(victim.serves)
    assert set(tally.versions) == {before, version}
    # Requests that the killed one held were answered by another: "/+1" is a retry elsewhere, 200 the answer.
    assert re.search(r" 200 .* \d+/\d+/\d+/\d+/\+1 ", replicas.haproxy_log)
    assert_all_serve(replicas, version)


def test_a_replica_killed_during_a_deploy_ends_it_everywhere_and_costs_no_request(
    replicas: RunningReplicas,
) -> None:
    before, victim = replicas.on_record(), replicas.replicas[0]
    version = replicas.deployer.fresh_version()
    with steady_load(replicas.gateway_url) as tally, ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(deploy, replicas, version)
        until(lambda: version in replicas.replicas[1].versions())
        victim.kill()
        victim.start()
        result = deploying.result()
        until(victim.serves)
    # By then it is back with the version on record, or still on its way.
    assert_refused(result, f"genre {version} was not deployed: ")
    assert f"{HOSTS[0]}:{replicas.management_port}" in result.stderr.splitlines()[-1]
    assert set(tally.versions) == {before}
    assert_all_serve(replicas, before)


def test_haproxy_takes_a_new_configuration_without_losing_a_request(replicas: RunningReplicas) -> None:
    with steady_load(replicas.gateway_url) as tally:
        old = replicas.reload_haproxy()
        answered = tally.answered
        until(lambda: old.ended and tally.answered >= answered + FLOWING)


def test_a_replica_that_lacks_the_version_costs_no_request_and_gets_it_by_deploying_again(
    replicas: RunningReplicas, images: list[Path]
) -> None:
    version = replicas.on_record()
    url = f"{replicas.replicas[1].management_url}/models/genre/{version}"
    assert HTTP.delete(url).status_code == 200
    with ThreadPoolExecutor(len(images)) as pool:
        answers = pool.map(lambda image: predict(replicas, image, f"/predictions/genre/{version}"), images)
        assert [answer.status_code for answer in answers] == [200] * len(images)
    assert replicas_of(replicas, version) == "2/3"
    result = replicas.deployer.upload_model(version)
    assert result.returncode == 0, result.stderr
    assert_all_serve(replicas, version)
    assert replicas_of(replicas, version) == "3/3"
