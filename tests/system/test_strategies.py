"""Canary, shadow, rollback and drain on the real TorchServe, with versions that do badly on purpose."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import NewStack
from tests.http_client import HTTP
from tests.processes import GIVE_UP_S, until
from tests.running_stack import RunningStack, run
from tests.shown_blocks import quoted_text
from tests.steady_load import steady_load
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.settings.composition import PROJECT_ROOT

pytestmark = pytest.mark.begins_first

CANARY = (
    "strategy=canary",
    "strategy.steps=[20,60]",
    "strategy.step_s=1",
    "strategy.min_requests=15",
    "strategy.step_timeout_s=120",
)
# Requests a second while versions are compared.
RATE = 15


@pytest.fixture(scope="module")
def stack(new_stack: NewStack) -> Iterator[RunningStack]:
    """A stack of its own, whose TorchServe is killed and whose versions fail; two gateway processes."""
    with new_stack("strategies", "gateway.processes=2").running("1.0") as stack:
        yield stack


@pytest.fixture
def serving(stack: RunningStack) -> str:
    """The version that serves, alone and without a trial, whatever an earlier test left."""
    found, model = stack.versions(), record(stack)
    if found == [model.serving.version] and not model.trial:
        return model.serving.version
    return stack.deploy_fresh()


def record(stack: RunningStack) -> DeployedModel:
    return DeploymentRecord(stack.directory / "deployments").read().models["genre"]


def archives(stack: RunningStack) -> set[str]:
    return {file.name for file in (stack.directory / "model_store").glob("genre-*.mar")}


def names(*versions: str) -> set[str]:
    return {f"genre-{version}.mar" for version in versions}


def models(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """What the gateway shows of all versions, by version."""
    rows = HTTP.get(f"{stack.settings.gateway.url}/models").raise_for_status().json()
    return {row["version"]: row for row in rows}


def test_a_good_canary_is_promoted_step_by_step_and_nobody_notices(stack: RunningStack, serving: str) -> None:
    version = stack.fresh_version()
    stack.add_archive(version)
    with steady_load(stack.settings.gateway.url, rate=RATE) as load:
        # Few requests on busy cores differ much by chance.
        result = stack.upload_model(version, *CANARY, "strategy.max_latency_ratio=1000")
    assert result.returncode == 0, result.stderr
    assert f"genre {version} gets 20 %" in result.stderr
    assert f"genre {version} gets 60 %" in result.stderr
    assert set(load.versions) == {serving, version}
    assert stack.versions() == [version]
    assert record(stack).trial is None


ROLLED_BACK = quoted_text("docs/deploying.md", "was rolled back at 20 %: it ")


@pytest.mark.parametrize(
    ("handler", "errors", "said"),
    [
        ("failing", {"HTTP 502", "HTTP 503"}, f"{ROLLED_BACK}failed"),
        pytest.param("very_slow", set(), "max_latency_ratio = 3", marks=pytest.mark.long),
    ],
)
def test_a_bad_canary_is_rolled_back_by_itself(
    stack: RunningStack, serving: str, handler: str, errors: set[str], said: str
) -> None:
    version = stack.fresh_version()
    stack.add_archive(version, handler=handler)
    with steady_load(stack.settings.gateway.url, errors, RATE) as load:
        result = stack.upload_model(version, *CANARY, "strategy.max_latency_ratio=3")
    assert result.returncode == 1
    assert said in result.stderr.splitlines()[-1]
    assert stack.versions() == [serving]
    assert record(stack).trial is None
    assert not names(version) & archives(stack)
    # What failed is a part of the canary's share; everybody else was served.
    assert load.errors.total() < load.answered / 2
    assert bool(load.errors) == bool(errors)


def test_a_canary_without_requests_is_rolled_back(stack: RunningStack, serving: str) -> None:
    version = stack.fresh_version()
    stack.add_archive(version)
    result = stack.upload_model(version, *CANARY, "strategy.step_timeout_s=1")
    assert result.returncode == 1
    assert "got only 0 of 15 requests within step_timeout_s = 1 s" in result.stderr
    assert stack.versions() == [serving]


def test_a_client_with_a_routing_key_stays_with_one_version(
    stack: RunningStack, serving: str, images: list[Path]
) -> None:
    version = stack.fresh_version()
    stack.add_archive(version)
    deploy = start_deploy(stack, version, *CANARY, "strategy.steps=[50]", "strategy.min_requests=1000")
    try:
        until(lambda: record(stack).trial)
        until(lambda: models(stack)[version]["state"] == "canary 50 %")
        seen = {}
        for key in range(30):
            headers = {"X-Routing-Key": f"client-{key}"}
            seen[key] = {predict(stack, images[0], headers) for _ in range(3)}
        assert all(len(versions) == 1 for versions in seen.values())
        assert {each for versions in seen.values() for each in versions} == {serving, version}
    finally:
        deploy.send_signal(signal.SIGTERM)
        _, stderr = deploy.communicate(timeout=GIVE_UP_S)
    assert deploy.returncode == 1
    assert stderr.splitlines()[-1] == "interrupted"
    # Interrupted is rolled back, too.
    assert stack.versions() == [serving]
    assert record(stack).trial is None


def test_a_deploy_that_was_killed_in_a_trial_is_cleaned_up_by_the_next(stack: RunningStack) -> None:
    before, version = stack.deploy_fresh(), stack.fresh_version()
    stack.add_archive(version)
    deploy = start_deploy(stack, version, *CANARY)
    until(lambda: record(stack).trial)
    deploy.kill()
    deploy.communicate(timeout=GIVE_UP_S)
    assert stack.versions() == sorted([before, version])
    result = stack.upload_model(before)
    assert result.returncode == 0, result.stderr
    assert stack.versions() == [before]
    assert record(stack).trial is None


@pytest.mark.parametrize(
    ("handler", "extra", "code", "said"),
    [
        (None, (), 0, "100.0 % same class"),
        ("contrary", (), 1, "answers name the same class"),
        (None, ("strategy.promote=true",), 0, "serves\n"),
    ],
)
def test_a_shadow_answers_nobody_and_is_compared(
    stack: RunningStack, serving: str, handler: str | None, extra: tuple[str, ...], code: int, said: str
) -> None:
    version = stack.fresh_version()
    stack.add_archive(version, handler=handler)
    with steady_load(stack.settings.gateway.url, rate=RATE) as load:
        result = stack.upload_model(version, "strategy=shadow", "strategy.min_requests=20", *extra)
    assert result.returncode == code, result.stderr
    assert said in result.stderr + result.stdout
    serves_now = version if extra else serving
    assert stack.versions() == [serves_now]
    assert set(load.versions) <= {serving, serves_now}


def test_rollback_brings_the_previous_version_back_and_offers_no_bad_one(stack: RunningStack) -> None:
    first, second = stack.deploy_fresh(), stack.deploy_fresh()
    assert archives(stack) == names(first, second)
    until(lambda: models(stack)[first]["state"] == "kept")
    with steady_load(stack.settings.gateway.url) as load:
        result = stack.rollback()
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"genre {first} serves\n"
    assert set(load.versions) <= {first, second}
    assert stack.versions() == [first]
    assert archives(stack) == names(first)
    again = stack.rollback()
    assert again.returncode == 1
    assert "failed: there is no version of genre before" in again.stderr


@pytest.mark.long
def test_as_many_versions_are_kept_as_configured(stack: RunningStack) -> None:
    first, second, third = (stack.deploy_fresh("keep_previous=2") for _ in range(3))
    assert [each.version for each in record(stack).previous] == [second, first]
    assert archives(stack) == names(first, second, third)
    alone = stack.deploy_fresh("keep_previous=0")
    assert archives(stack) == names(alone)


def test_an_archive_that_changed_in_the_store_is_not_rolled_back_to(stack: RunningStack) -> None:
    previous, version = stack.deploy_fresh(), stack.deploy_fresh()
    (stack.directory / "model_store" / f"genre-{previous}.mar").write_bytes(b"other code")
    result = stack.rollback()
    assert result.returncode == 1
    assert "has sha256" in result.stderr
    assert stack.versions() == [version]


def test_models_shows_what_is_deployed(stack: RunningStack) -> None:
    version = stack.deploy_fresh()
    told = stack.overview("format=json")
    assert told.returncode == 0, told.stderr
    rows = json.loads(told.stdout)
    [row] = [row for row in rows if row["version"] == version]
    assert (row["state"], row["default_on"], row["on"], row["of"]) == ("serving", 1, 1, 1)
    assert (row["workers_ready"], row["workers"], row["queued"]) == (1, 1, 0)
    assert (row["batch_size"], row["max_batch_delay"]) == (8, 20)
    assert row["since"]
    until(lambda: list(models(stack).values()) == rows)
    of_genre = HTTP.get(f"{stack.settings.gateway.url}/models/genre").json()
    assert [row["version"] for row in of_genre if row["state"] == "serving"] == [version]
    unknown = HTTP.get(f"{stack.settings.gateway.url}/models/nonesuch")
    assert unknown.status_code == 404
    assert "no model nonesuch" in unknown.json()["detail"]
    assert "8 in 20 ms" in stack.overview().stdout
    gone = stack.overview("torchserve.management_url=http://127.0.0.1:1")
    assert gone.returncode == 1
    assert gone.stderr.startswith("failed: TorchServe's management API at http://127.0.0.1:1")


def test_a_name_at_torchserve_of_its_own_works_with_every_command(
    stack: RunningStack, tmp_path: Path
) -> None:
    named = "model.name=drama", "served_model.model_name=posters"
    first, second = stack.fresh_version(), stack.fresh_version()
    for version in (first, second):
        stack.add_archive(version, model="drama")
        deployed = stack.upload_model(version, *named)
        assert deployed.stdout == f"posters {version} serves\n", deployed.stderr
    file = Path(shutil.copy(PROJECT_ROOT / "config/model/genre.yaml", tmp_path / "drama.yaml"))
    command = "-m", "torchserve_gateway"
    results = [
        stack.rollback(*named),
        stack.overview(*named),
        run(*command, "demo", *stack.overrides, *named),
        run(*command, "record-samples", *stack.overrides, *named, f"write={file}"),
        run("stress.py", *stack.overrides, *named, "clients=2", "rounds=1", "round_s=1"),
    ]
    for result in results:
        assert result.returncode == 0, result.stderr
    assert results[0].stdout == f"posters {first} serves\n"
    assert "posters" in results[1].stdout
    assert results[3].stdout.splitlines()[-1] == f"answers of posters {first} in {file}"
    assert file.read_text().count("expected_file: ") == 3
    assert stack.versions("posters") == [first]


SLOW = ("model.name=slow", "model.batch_size=1")
REQUESTS = 10


def queued(version_url: str) -> int:
    return int(HTTP.get(version_url).json()[0]["jobQueueStatus"]["pendingRequests"])


async def answers(url: str, image: bytes, give_up_s: float) -> list[httpx.Response | None]:
    async def ask(client: httpx.AsyncClient) -> httpx.Response | None:
        try:
            return await client.put(url, content=image)
        except httpx.TimeoutException:
            return None

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=give_up_s, limits=limits) as client:
        return list(await asyncio.gather(*(ask(client) for _ in range(REQUESTS))))


@pytest.mark.long
def test_torchserve_by_itself_leaves_requests_of_a_deleted_version_hanging(
    stack: RunningStack, images: list[Path]
) -> None:
    """The reason for the drain. If this fails TorchServe has been repaired, and the drain may go."""
    deleted, other = stack.fresh_version(), stack.fresh_version()
    url = f"{stack.settings.torchserve.management_url}/models"
    # A model of its own, so that no deploy takes these versions for its leftovers.
    for version in (deleted, other):
        archive = stack.add_archive(version, model="slow", handler="slow")
        archive.rename(stack.directory / "model_store" / archive.name)
        params: dict[str, str | int] = {
            "url": archive.name,
            "model_name": "by_hand",
            "initial_workers": 1,
            "batch_size": 1,
            "synchronous": "true",
        }
        assert HTTP.post(url, params=params, timeout=GIVE_UP_S).status_code == 200
    pending = f"{url}/by_hand/{deleted}"
    with ThreadPoolExecutor() as pool:
        image, inference = images[0].read_bytes(), stack.settings.torchserve.inference_url
        asked = f"{inference}/predictions/by_hand"
        waiting = pool.submit(asyncio.run, answers(f"{asked}/{deleted}", image, give_up_s=20))
        until(lambda: queued(pending) >= REQUESTS / 2)
        assert HTTP.put(f"{url}/by_hand/{other}/set-default").status_code == 200
        assert HTTP.delete(pending).status_code == 200
        # TorchServe is well: the other version answers.
        assert HTTP.put(asked, content=image, timeout=60).status_code == 200
        assert None in waiting.result()
    assert HTTP.delete(f"{url}/by_hand/{other}").status_code == 200


def test_with_the_drain_every_request_of_the_old_version_is_answered(
    stack: RunningStack, images: list[Path]
) -> None:
    old, new = stack.fresh_version(), stack.fresh_version()
    for version in (old, new):
        stack.add_archive(version, model="slow", handler="slow")
    assert stack.upload_model(old, *SLOW).returncode == 0
    with ThreadPoolExecutor() as pool:
        url = f"{stack.settings.gateway.url}/predictions/slow"
        deploy = start_deploy(stack, new, *SLOW)
        rounds = []
        while deploy.poll() is None:
            rounds.append(pool.submit(asyncio.run, answers(url, images[0].read_bytes(), give_up_s=60)))
            rounds[-1].result()
        responses = [response for each in rounds for response in each.result()]
    assert deploy.returncode == 0, deploy.communicate()[1]
    assert all(response is not None and response.status_code == 200 for response in responses)
    assert {response.headers["x-model-version"] for response in responses if response} == {old, new}
    assert stack.versions("slow") == [new]


def start_deploy(stack: RunningStack, version: str, *extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *stack.upload_command(version), "archive_source=model_mars", *extra],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def predict(stack: RunningStack, image: Path, headers: dict[str, str]) -> str:
    url = f"{stack.settings.gateway.url}/predictions/genre"
    response = HTTP.put(url, content=image.read_bytes(), headers=headers, timeout=GIVE_UP_S)
    assert response.status_code == 200, response.text
    return response.headers["x-model-version"]


@pytest.mark.parametrize(
    ("handler", "extra", "said"),
    [
        (None, ["model.samples.0.probability=0.5"], "on horror.jpg it answers Horror with 0.995, not 0.5"),
        ("stuck", ["ready_timeout_s=5"], "0 of its 1 workers were READY after 5 s"),
        (None, [f"archive_source.sha256={'0' * 64}"], f"expected is {'0' * 64}"),
    ],
)
def test_a_version_that_is_not_fit_to_serve_leaves_nothing(
    stack: RunningStack, serving: str, handler: str | None, extra: list[str], said: str
) -> None:
    version = stack.fresh_version()
    stack.add_archive(version, handler=handler)
    kept = archives(stack)
    result = stack.upload_model(version, *extra)
    assert result.returncode == 1
    assert said in result.stderr.splitlines()[-1]
    assert (stack.versions(), archives(stack)) == ([serving], kept)


def test_torchserve_dying_in_the_middle_of_a_deploy_comes_back_with_the_old_version(
    stack: RunningStack, serving: str, images: list[Path]
) -> None:
    version = stack.fresh_version()
    stack.add_archive(version)
    kept, java = archives(stack), stack.pid("torchserve")
    deploy = start_deploy(stack, version)
    assert deploy.stderr is not None
    assert any("registering" in line for line in deploy.stderr)
    os.kill(java, signal.SIGKILL)
    _, stderr = deploy.communicate(timeout=GIVE_UP_S)
    assert deploy.returncode == 1
    assert stderr.splitlines()[-1].startswith(f"failed: genre {version} was not deployed: ")
    until(lambda: answers_ready(stack))
    assert stack.versions() == [serving]
    assert archives(stack) == kept
    assert predict(stack, images[0], {}) == serving


def answers_ready(stack: RunningStack) -> bool:
    return HTTP.get(f"{stack.settings.gateway.url}/health/ready").status_code == 200
