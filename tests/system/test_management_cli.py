"""`make manage` on the real TorchServe: the whole life of a model, for people and for scripts."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.commands import command
from tests.http_client import HTTP
from tests.running_stack import RunningStack
from tests.shown_blocks import assert_same_words, shown_block
from tests.small_archive import small_archive

pytestmark = pytest.mark.begins_first


class Manage:
    """`make manage` on one stack."""

    def __init__(self, stack: RunningStack) -> None:
        self._overrides = stack.overrides

    def __call__(self, *arguments: str) -> Any:
        """The JSON document of a command that must succeed."""
        result = self._run(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        assert not lines_but_waits(result.stderr)
        return json.loads(result.stdout)

    def table(self, *arguments: str) -> str:
        """What people see of a command that must succeed."""
        result = self._run(*arguments)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    def failure(self, *arguments: str) -> str:
        """The one line of a command that must fail."""
        result = self._run(*arguments)
        assert result.exit_code == 1, result.stdout
        assert result.stdout == ""
        [line] = lines_but_waits(result.stderr)
        return line

    def _run(self, *arguments: str) -> Result:
        # tests/system/test_tokens.py has processes of their own.
        return command("manage", *arguments, *self._overrides)


def lines_but_waits(stderr: str) -> list[str]:
    """Lines of stderr without those of a wait, which a slow machine has more of."""
    return [line for line in stderr.splitlines() if not line.startswith("INFO waiting for ")]


def add_to_model_store(stack: RunningStack, version: str) -> str:
    archive = stack.add_archive(version, model="managed")
    shutil.copy(archive, stack.directory / "model_store")
    return archive.name


@pytest.fixture(scope="module")
def archives(stack: RunningStack) -> Iterator[None]:
    """Two archives of the model `managed`, in the model store."""
    names = [add_to_model_store(stack, version) for version in ("1.0", "2.0")]
    yield
    for name in names:
        (stack.directory / "model_store" / name).unlink()


@pytest.fixture
def manage(stack: RunningStack, archives: None) -> Iterator[Manage]:
    """What a test registers is gone afterwards."""
    manage = Manage(stack)
    yield manage
    management = f"{stack.settings.torchserve.management_url}/models"
    for model in {model["modelName"] for model in HTTP.get(management).json()["models"]} - {"genre"}:
        default = HTTP.get(f"{management}/{model}").json()[0]["modelVersion"]
        # TorchServe keeps the default one as long as there is another.
        for version in sorted(stack.versions(model), key=default.__eq__):
            HTTP.delete(f"{management}/{model}/{version}").raise_for_status()


def register(manage: Manage, version: str, *options: str) -> Any:
    return manage("register", f"managed-{version}.mar", "--model-name", "managed", *options)


def states(version: dict[str, Any]) -> list[str]:
    return [worker["status"] for worker in version["workers"]]


def test_the_whole_life_of_a_model(manage: Manage, stack: RunningStack, images: list[Path]) -> None:
    asynchronous = register(manage, "1.0", "--initial-workers", "1", "--batch-size", "4", "--wait", "60")
    assert asynchronous["status"] == "Processing worker updates..."
    assert asynchronous["version"]["modelVersion"] == "1.0"
    assert asynchronous["version"]["batchSize"] == 4
    assert asynchronous["version"]["maxBatchDelay"] == 100
    assert states(asynchronous["version"]) == ["READY"]
    synchronous = register(manage, "2.0", "--initial-workers", "1", "--synchronous")
    assert "Version: 2.0 registered with 1 initial workers" in synchronous["status"]
    assert states(synchronous["version"]) == ["READY"]

    described = manage("describe", "managed", "--all")
    assert described["defaultVersion"] == "1.0"
    assert {version["modelVersion"] for version in described["versions"]} == {"1.0", "2.0"}
    manage("set-default", "managed", "2.0")
    [default] = manage("describe", "managed")["versions"]
    assert default["modelVersion"] == "2.0"
    url = f"{stack.settings.torchserve.inference_url}/predictions/managed"
    response = HTTP.put(url, content=images[0].read_bytes())
    assert response.headers["x-model-version"] == "2.0"

    assert "Cannot remove default version" in manage.failure("unregister", "managed")
    manage("unregister", "managed", "1.0")
    assert "registered: 2.0" in manage.failure("describe", "managed", "1.0")
    manage("unregister", "managed")
    assert "registered: genre" in manage.failure("describe", "managed")
    assert "registered: genre" in manage.failure("scale", "managed", "--min-worker", "1")


def test_workers_are_scaled_up_and_down(manage: Manage) -> None:
    register(manage, "1.0")
    up = manage("scale", "managed", "1.0", "--min-worker", "2", "--synchronous")
    assert up["status"] == "Workers scaled to 2 for model: managed, version: 1.0"
    assert states(up["version"]) == ["READY", "READY"]
    kept = up["version"]["workers"][0]
    down = manage("scale", "managed", "--min-worker", "1", "--timeout", "5")
    assert down["status"] == "Processing worker updates..."
    assert [worker["pid"] for worker in down["version"]["workers"]] == [kept["pid"]]
    assert manage("scale", "managed", "--min-worker", "0")["version"]["workers"] == []
    again = manage("scale", "managed", "--min-worker", "1", "--max-worker", "3", "--wait", "60")
    assert states(again["version"]) == ["READY"]
    assert (again["version"]["minWorkers"], again["version"]["maxWorkers"]) == (1, 3)
    told = " ".join(manage.table("scale", "managed", "--min-worker", "2").split())
    assert "1 of 2 workers READY, the others are still starting" in told


def test_the_list_has_pages(manage: Manage) -> None:
    names = ["managed-a", "managed-b", "managed-c"]
    for name in names:
        manage("register", "managed-1.0.mar", "--model-name", name)
    everything = manage("list", "--all-pages", "--limit", "1")
    assert [model["modelName"] for model in everything["models"]] == ["genre", *names]
    walked, page = [], 0
    while page is not None:
        found = manage("list", "--limit", "3", "--page", str(page))
        assert len(found["models"]) <= 3
        walked += found["models"]
        page = found["nextPageToken"]
    assert walked == everything["models"]
    assert "next page: --page 2" in manage.table("list", "--limit", "2")


def test_the_handler_says_what_it_knows_of_itself(manage: Manage, stack: RunningStack) -> None:
    register(manage, "1.0", "--initial-workers", "1", "--wait", "60")
    [customized] = manage("describe", "managed", "1.0", "--customized")["versions"]
    assert customized["customizedMetadata"]["labels"] == stack.settings.model.labels
    [plain] = manage("describe", "managed", "1.0")["versions"]
    assert plain["customizedMetadata"] is None
    shown = manage.table("describe", "managed", "--customized")
    for part in ("managed-1.0.mar", "READY", str(plain["workers"][0]["pid"]), '"Horror"'):
        assert part in shown


def test_workers_that_cannot_load_end_the_wait(manage: Manage, stack: RunningStack) -> None:
    small_archive(stack.directory / "model_store", "managed-broken", "import nonesuch")
    command = ("register", "managed-broken.mar", "--model-name", "managed-broken", "--initial-workers", "1")
    failed = manage.failure(*command, "--wait", "60")
    assert failed.startswith("failed: managed-broken 1.0 is registered, but its workers die")
    manage("unregister", "managed-broken")
    failed = manage.failure(*command, "--synchronous")
    assert failed.startswith("failed: Failed to start workers for model managed-broken version: 1.0; ")
    assert "managed-broken" not in [model["modelName"] for model in manage("list")["models"]]


def test_what_torchserve_refuses_is_said_with_what_helps(manage: Manage) -> None:
    register(manage, "1.0")
    again = manage.failure("register", "managed-1.0.mar", "--model-name", "managed")
    assert again == "failed: Model version 1.0 is already registered for model managed"
    missing = manage.failure("register", "nonesuch.mar", "--model-name", "managed")
    assert "Model not found at: nonesuch.mar; an archive is a file in" in missing
    foreign = manage.failure("register", "http://127.0.0.1:1/x.mar", "--model-name", "managed")
    assert "torchserve.allowed_urls" in foreign
    assert "max_worker cannot be less" in manage.failure(
        "scale", "managed", "--min-worker", "2", "--max-worker", "1"
    )
    assert "no worker" in manage.failure("describe", "managed", "--customized")


@pytest.fixture
def beside(stack: RunningStack) -> Iterator[str]:
    """A version of genre with its archive in the model store; unregistered at the end.

    The serving version has one worker: another test of the stack may have left more.
    """
    [serving], version = stack.versions(), stack.fresh_version()
    management = f"{stack.settings.torchserve.management_url}/models/genre"
    one = "min_worker=1&max_worker=1&synchronous=true"
    HTTP.put(f"{management}/{serving}?{one}").raise_for_status()
    stored = shutil.copy(stack.add_archive(version), stack.directory / "model_store")
    yield version
    HTTP.put(f"{management}/{serving}/set-default").raise_for_status()
    HTTP.delete(f"{management}/{version}")
    Path(stored).unlink()


def by_line(text: str) -> str:
    """The lines in the order of their words."""
    return "\n".join(sorted(text.splitlines(), key=str.split))


def test_the_page_shows_what_the_commands_print(stack: RunningStack, beside: str) -> None:
    [serving] = stack.versions()
    page = shown_block("docs/management.md", "$ cp model_mars/genre-2.0.mar var/model_store/")
    # The stack has one worker of the serving version, not two.
    page = re.sub(r"^ 1\.0 +9001 .*\n", "", page, flags=re.MULTILINE)
    page = re.sub(r"\b2\.0\b", beside, re.sub(r"\b1\.0\b", serving, page))
    for arguments, shown in re.findall(
        r'^\$ make manage ARGS="(.*)"\n((?:(?!\$ ).*\n)*)', page, re.MULTILINE
    ):
        result = command("manage", *shlex.split(arguments), *stack.overrides)
        printed = result.stdout + "\n".join(lines_but_waits(result.stderr))
        # TorchServe tells the memory of a worker that has run for a while.
        printed = re.sub(r" \d+ MB", "", printed)
        # A worker may be READY before the command has asked.
        if "still starting" in shown and "still starting" not in printed:
            continue
        if "--all" in arguments:
            # TorchServe lists versions in any order.
            assert_same_words(by_line(printed), by_line(shown))
        else:
            assert_same_words(printed, shown)
