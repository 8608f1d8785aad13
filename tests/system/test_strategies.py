"""Canary, shadow, rollback and drain on the real TorchServe, with versions that do badly on purpose."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.running_stack import RunningStack, handler, run
from torchserve_gateway.record.record import DeployedModel, DeploymentRecord
from torchserve_gateway.settings.composition import PROJECT_ROOT

GIVE_UP_S = 90


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of its own with one worker a version, so that what one batch does all the next ones meet."""
    stack = RunningStack.configure(tmp_path_factory.mktemp("strategies"), "model.workers=1")
    assert stack.stack("up").returncode == 0
    stack.deploy("1.0")
    yield stack
    assert stack.stack("down").returncode == 0


def record(stack: RunningStack) -> DeployedModel:
    return DeploymentRecord(stack.directory / "deployments").read().models["genre"]


def archives(stack: RunningStack) -> set[str]:
    return {file.name for file in (stack.directory / "model_store").glob("*.mar")}


def models(stack: RunningStack) -> dict[str, dict[str, Any]]:
    """`make models` by version."""
    result = run("-m", "torchserve_gateway.commands.models", *stack.overrides, "format=json")
    assert result.returncode == 0, result.stderr
    return {row["version"]: row for row in json.loads(result.stdout)}


def until(condition: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


CANARY = (
    "strategy=canary",
    "strategy.steps=[20,60]",
    "strategy.step_s=1",
    "strategy.min_requests=15",
    "strategy.step_timeout_s=60",
    "strategy.max_latency_ratio=3",
)


def test_a_good_canary_is_promoted_step_by_step_and_nobody_notices(stack: RunningStack) -> None:
    stack.generate_mar("1.1")
    load = stack.load("rate=20", "rounds=40", "round_s=3")
    result = stack.upload_model("1.1", *CANARY)
    load.stop()
    code, output = load.result()
    assert result.returncode == 0, result.stderr
    assert "genre 1.1 gets 20 %" in result.stderr
    assert "genre 1.1 gets 60 %" in result.stderr
    assert code == 0, output
    assert stack.versions() == ["1.1"]
    assert record(stack).trial is None


@pytest.mark.parametrize(
    ("version", "name", "said"),
    [("1.2", "failing", "was rolled back at 20 %: it failed"), ("1.3", "slow", "max_latency_ratio = 3")],
)
def test_a_bad_canary_is_rolled_back_by_itself(
    stack: RunningStack, version: str, name: str, said: str
) -> None:
    assert stack.generate_mar(version, *handler(name)).returncode == 0
    load = stack.load("rate=20", "rounds=40", "round_s=3")
    result = stack.upload_model(version, *CANARY)
    load.stop()
    _, output = load.result()
    assert result.returncode == 1
    assert said in result.stderr.splitlines()[-1]
    assert stack.versions() == ["1.1"]
    assert record(stack).trial is None
    assert f"genre-{version}.mar" not in archives(stack)
    # What failed is a part of the canary's share; everybody else was served.
    failed = sum(
        int(line.split("Failed: ")[1].split()[0]) for line in output.splitlines() if "Failed: " in line
    )
    [answered] = [line for line in output.splitlines() if "Answered" in line]
    assert failed < int(answered.split("Answered: ")[1].split()[0]) / 2
    assert name == "failing" or not failed


def test_a_canary_without_requests_is_rolled_back(stack: RunningStack) -> None:
    stack.generate_mar("1.4")
    result = stack.upload_model("1.4", *CANARY, "strategy.step_timeout_s=1")
    assert result.returncode == 1
    assert "got only 0 of 15 requests within step_timeout_s = 1 s" in result.stderr
    assert stack.versions() == ["1.1"]


def test_a_client_with_a_routing_key_stays_with_one_version(stack: RunningStack, images: list[Path]) -> None:
    stack.generate_mar("1.4")
    deploy = start_deploy(stack, "1.4", *CANARY, "strategy.steps=[50]", "strategy.min_requests=1000")
    try:
        until(lambda: record(stack).trial, "no trial")
        until(lambda: models(stack)["1.4"]["state"] == "canary 50 %", "no canary")
        time.sleep(1)
        seen = {}
        for key in range(30):
            headers = {"X-Routing-Key": f"client-{key}"}
            seen[key] = {predict(stack, images[0], headers) for _ in range(3)}
        assert all(len(versions) == 1 for versions in seen.values())
        assert {version for versions in seen.values() for version in versions} == {"1.1", "1.4"}
    finally:
        deploy.send_signal(signal.SIGTERM)
        _, stderr = deploy.communicate(timeout=GIVE_UP_S)
    assert deploy.returncode == 1
    assert stderr.splitlines()[-1] == "interrupted"
    # Interrupted is rolled back, too.
    assert stack.versions() == ["1.1"]
    assert record(stack).trial is None


def test_a_deploy_that_was_killed_in_a_trial_is_cleaned_up_by_the_next(stack: RunningStack) -> None:
    stack.generate_mar("1.5")
    deploy = start_deploy(stack, "1.5", *CANARY)
    until(lambda: record(stack).trial, "no trial")
    deploy.kill()
    deploy.communicate(timeout=GIVE_UP_S)
    assert stack.versions() == ["1.1", "1.5"]
    result = stack.upload_model("1.1")
    assert result.returncode == 0, result.stderr
    assert stack.versions() == ["1.1"]
    assert record(stack).trial is None


@pytest.mark.parametrize(
    ("version", "extra", "code", "said", "serves"),
    [
        ("1.6", (), 0, "100.0 % same class", "1.1"),
        ("1.7", handler("contrary"), 1, "answers name the same class", "1.1"),
        ("1.8", ("strategy.promote=true",), 0, "genre 1.8 serves", "1.8"),
    ],
)
def test_a_shadow_answers_nobody_and_is_compared(
    stack: RunningStack, version: str, extra: tuple[str, ...], code: int, said: str, serves: str
) -> None:
    is_handler = any(each.startswith("model.handler") for each in extra)
    assert stack.generate_mar(version, *(extra if is_handler else ())).returncode == 0
    before = stack.versions()
    load = stack.load("rate=20", "rounds=40", "round_s=3")
    result = stack.upload_model(version, "strategy=shadow", "strategy.min_requests=20", *extra)
    load.stop()
    load_code, output = load.result()
    assert result.returncode == code, result.stderr
    assert said in result.stderr + result.stdout
    assert stack.versions() == [serves]
    assert load_code == 0, output
    if serves in before:
        assert f"{version}: " not in output


def test_rollback_brings_the_previous_version_back_and_offers_no_bad_one(stack: RunningStack) -> None:
    assert record(stack).serving.version == "1.8"
    assert archives(stack) == {"genre-1.8.mar", "genre-1.1.mar"}
    assert models(stack)["1.1"]["state"] == "kept"
    load = stack.load("rate=20", "rounds=40", "round_s=3")
    result = stack.rollback()
    load.stop()
    code, output = load.result()
    assert result.returncode == 0, result.stderr
    assert result.stdout == "genre 1.1 serves\n"
    assert code == 0, output
    assert stack.versions() == ["1.1"]
    assert archives(stack) == {"genre-1.1.mar"}
    again = stack.rollback()
    assert again.returncode == 1
    assert "failed: there is no version of genre before" in again.stderr


def test_as_many_versions_are_kept_as_configured(stack: RunningStack) -> None:
    for version in ("2.1", "2.2", "2.3", "2.4"):
        stack.generate_mar(version)
    for version in ("2.1", "2.2", "2.3"):
        assert stack.upload_model(version, "keep_previous=2").returncode == 0
    assert [each.version for each in record(stack).previous] == ["2.2", "2.1"]
    assert archives(stack) == {"genre-2.1.mar", "genre-2.2.mar", "genre-2.3.mar"}
    assert stack.upload_model("2.4", "keep_previous=0").returncode == 0
    assert archives(stack) == {"genre-2.4.mar"}


def test_an_archive_that_changed_in_the_store_is_not_rolled_back_to(stack: RunningStack) -> None:
    stack.deploy("2.5")
    (stack.directory / "model_store" / "genre-2.4.mar").write_bytes(b"other code")
    result = stack.rollback()
    assert result.returncode == 1
    assert "has sha256" in result.stderr
    assert stack.versions() == ["2.5"]


def test_models_shows_what_is_deployed(stack: RunningStack) -> None:
    row = models(stack)["2.5"]
    assert (row["state"], row["default_on"], row["on"], row["of"]) == ("serving", 1, 1, 1)
    assert (row["workers_ready"], row["workers"], row["queued"]) == (1, 1, 0)
    assert (row["batch_size"], row["max_batch_delay"]) == (8, 20)
    assert row["since"]
    assert httpx.get(f"{stack.settings.gateway.url}/models").json() == list(models(stack).values())
    of_genre = httpx.get(f"{stack.settings.gateway.url}/models/genre").json()
    assert [row["version"] for row in of_genre if row["state"] == "serving"] == ["2.5"]
    unknown = httpx.get(f"{stack.settings.gateway.url}/models/nonesuch")
    assert unknown.status_code == 404
    assert "no model nonesuch" in unknown.json()["detail"]
    table = run("-m", "torchserve_gateway.commands.models", *stack.overrides)
    assert "8 in 20 ms" in table.stdout
    gone = run(
        "-m",
        "torchserve_gateway.commands.models",
        *stack.overrides,
        "torchserve.management_url=http://127.0.0.1:1",
    )
    assert gone.returncode == 1
    assert gone.stderr.startswith("failed: TorchServe's management API at http://127.0.0.1:1")


SLOW = (*handler("slow"), "model.name=slow", "model.batch_size=1")
REQUESTS = 10


def queued(stack: RunningStack, version: str) -> int:
    url = f"{stack.settings.torchserve.management_url}/models/slow/{version}"
    return int(httpx.get(url).json()[0]["jobQueueStatus"]["pendingRequests"])


async def answers(url: str, image: bytes, give_up_s: float) -> list[httpx.Response | None]:
    async def ask(client: httpx.AsyncClient) -> httpx.Response | None:
        try:
            return await client.put(url, content=image)
        except httpx.TimeoutException:
            return None

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=give_up_s, limits=limits) as client:
        return list(await asyncio.gather(*(ask(client) for _ in range(REQUESTS))))


def test_torchserve_by_itself_leaves_requests_of_a_deleted_version_hanging(
    stack: RunningStack, images: list[Path]
) -> None:
    """The reason for the drain. If this fails TorchServe has been repaired, and the drain may go."""
    for version in ("1.0", "2.0"):
        assert stack.generate_mar(version, *SLOW).returncode == 0
        archive = stack.directory / "model_mars" / f"slow-{version}.mar"
        (stack.directory / "model_store" / archive.name).write_bytes(archive.read_bytes())
        url = f"{stack.settings.torchserve.management_url}/models"
        params: dict[str, str | int] = {
            "url": archive.name,
            "initial_workers": 1,
            "batch_size": 1,
            "synchronous": "true",
        }
        assert httpx.post(url, params=params, timeout=GIVE_UP_S).status_code == 200
    with ThreadPoolExecutor() as pool:
        image, inference = images[0].read_bytes(), stack.settings.torchserve.inference_url
        waiting = pool.submit(asyncio.run, answers(f"{inference}/predictions/slow/1.0", image, give_up_s=20))
        until(lambda: queued(stack, "1.0") >= REQUESTS / 2, "nothing is queued")
        assert httpx.put(f"{url}/slow/2.0/set-default").status_code == 200
        assert httpx.delete(f"{url}/slow/1.0").status_code == 200
        # TorchServe is well: the other version answers.
        assert httpx.put(f"{inference}/predictions/slow", content=image, timeout=60).status_code == 200
        assert None in waiting.result()
    assert httpx.delete(f"{url}/slow/2.0").status_code == 200


def test_with_the_drain_every_request_of_the_old_version_is_answered(
    stack: RunningStack, images: list[Path]
) -> None:
    assert stack.upload_model("1.0", *SLOW).returncode == 0
    with ThreadPoolExecutor() as pool:
        url = f"{stack.settings.gateway.url}/predictions/slow"
        deploy = start_deploy(stack, "2.0", *SLOW)
        rounds = []
        while deploy.poll() is None:
            rounds.append(pool.submit(asyncio.run, answers(url, images[0].read_bytes(), give_up_s=60)))
            rounds[-1].result()
        responses = [response for each in rounds for response in each.result()]
    assert deploy.returncode == 0, deploy.communicate()[1]
    assert all(response is not None and response.status_code == 200 for response in responses)
    assert {response.headers["x-model-version"] for response in responses if response} == {"1.0", "2.0"}
    assert stack.versions("slow") == ["2.0"]


def start_deploy(stack: RunningStack, version: str, *extra: str) -> subprocess.Popen[str]:
    command = [sys.executable, "upload_model.py", f'model.version="{version}"', *stack.overrides]
    return subprocess.Popen(
        [*command, f"model_mars={stack.directory}/model_mars", "archive_source=model_mars", *extra],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def predict(stack: RunningStack, image: Path, headers: dict[str, str]) -> str:
    url = f"{stack.settings.gateway.url}/predictions/genre"
    response = httpx.put(url, content=image.read_bytes(), headers=headers, timeout=GIVE_UP_S)
    assert response.status_code == 200, response.text
    return response.headers["x-model-version"]


@pytest.mark.parametrize(
    ("version", "build", "extra", "said"),
    [
        (
            "3.1",
            (),
            ["model.samples.0.probability=0.5"],
            "on horror.jpg it answers Horror with 0.995, not 0.5",
        ),
        ("3.2", handler("stuck"), ["ready_timeout_s=5"], "0 of its 1 workers were READY after 5 s"),
        ("3.3", (), [f"archive_source.sha256={'0' * 64}"], f"expected is {'0' * 64}"),
    ],
)
def test_a_version_that_is_not_fit_to_serve_leaves_nothing(
    stack: RunningStack, version: str, build: tuple[str, ...], extra: list[str], said: str
) -> None:
    assert stack.generate_mar(version, *build).returncode == 0
    before, kept = stack.versions(), archives(stack)
    result = stack.upload_model(version, *extra)
    assert result.returncode == 1
    assert said in result.stderr.splitlines()[-1]
    assert (stack.versions(), archives(stack)) == (before, kept)


def test_torchserve_dying_in_the_middle_of_a_deploy_comes_back_with_the_old_version(
    stack: RunningStack, images: list[Path]
) -> None:
    assert stack.generate_mar("3.4").returncode == 0
    kept = archives(stack)
    deploy = start_deploy(stack, "3.4")
    assert deploy.stderr is not None
    assert any("registering" in line for line in deploy.stderr)
    [java] = [
        int(line.split("pid ")[1].split()[0])
        for line in stack.stack("status").stdout.splitlines()
        if line.startswith("torchserve")
    ]
    os.kill(java, signal.SIGKILL)
    _, stderr = deploy.communicate(timeout=GIVE_UP_S)
    assert deploy.returncode == 1
    assert stderr.splitlines()[-1].startswith("failed: genre 3.4 was not deployed: ")
    until(lambda: answers_ready(stack), "not ready again")
    assert stack.versions() == ["2.5"]
    assert archives(stack) == kept
    assert predict(stack, images[0], {}) == "2.5"


def answers_ready(stack: RunningStack) -> bool:
    return httpx.get(f"{stack.settings.gateway.url}/health/ready").status_code == 200
