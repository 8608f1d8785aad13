"""`make manage`: wrong use is refused before TorchServe hears of it, a failure is a line."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from tests.fake_torchserve import FakeTorchServe, described, error, listening, version
from torchserve_gateway.management_cli.commands import app

Manage = Callable[..., Result]


@pytest.fixture
def torchserve() -> FakeTorchServe:
    return FakeTorchServe()


@pytest.fixture
def manage(torchserve: FakeTorchServe, tmp_path: Path) -> Iterator[Manage]:
    with listening(torchserve) as url:
        override = [f"torchserve.management_url={url}", f"torchserve.key_file={tmp_path}/key_file.json"]
        yield lambda *arguments: CliRunner().invoke(app, [*arguments, *override])


def status(text: str) -> httpx.Response:
    return httpx.Response(200, json={"status": text})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("nonesuch", "No such command"),
        ("register", "url"),
        ("register a.mar", "--model-name"),
        ("register a.mar --model-name ../x", "'../x' is not of letters"),
        ("register a.mar --model-name ..", "'..' is not of letters"),
        ("register a.mar --model-name x --batch-size 0", "--batch-size"),
        ("register a.mar --model-name x --initial-workers -1", "--initial-workers"),
        ("register a.mar --model-name x --wait -1", "--wait"),
        ("scale genre", "--min-worker"),
        ("scale genre --min-worker -1", "--min-worker"),
        ("scale genre --min-worker 0 --max-worker 2", "forget the workers that run"),
        ("scale genre --min-worker many", "--min-worker"),
        ("describe", "model"),
        ("describe genre 1.0 --all", "--all goes with neither"),
        ("describe genre --all --customized", "--all goes with neither"),
        ("list --limit 0", "--limit"),
        ("list --limit 101", "--limit"),
        ("list --page -1", "--page"),
        ("list --page second", "--page"),
        ("set-default genre", "version"),
        (
            "list torchserve.nonesuch=1",
            "configuration error: config/gateway.yaml has no key torchserve.nonesuch",
        ),
        ("list gibberish", "gibberish"),
    ],
)
def test_wrong_use_is_exit_code_2_and_torchserve_hears_nothing(
    manage: Manage, torchserve: FakeTorchServe, arguments: str, said: str
) -> None:
    result = manage(*arguments.split())
    assert result.exit_code == 2
    assert said.lower() in " ".join(result.stderr.split()).lower()
    assert result.stdout == ""
    assert torchserve.requests == []


@pytest.mark.parametrize(
    "arguments",
    [("unregister", ""), ("unregister", "genre", ""), ("scale", "genre", "", "--min-worker", "1")],
)
def test_an_empty_name_is_not_taken_for_the_default_version(
    manage: Manage, torchserve: FakeTorchServe, arguments: tuple[str, ...]
) -> None:
    result = manage(*arguments)
    assert result.exit_code == 2
    assert "it is empty" in result.stderr
    assert torchserve.requests == []


TOKEN = error(400, "InvalidKeyException", "Token Authorization failed.")
NO_MODEL = error(404, "ModelNotFoundException", "Model not found: x")
NO_VERSION = error(404, "ModelVersionNotFoundException", "Model version: 9 does not exist for model: x")
DEFAULT = error(403, "InvalidModelVersionException", "Cannot remove default version for model x")
NO_ARCHIVE = error(404, "ModelNotFoundException", "Model not found at: a.mar")
NO_WORKERS = error(500, "InternalServerException", "Failed to start workers for model x version: 1.0")


@pytest.mark.parametrize(
    ("arguments", "answer", "said"),
    [
        (
            "register a.mar --model-name x",
            error(405, "MethodNotAllowedException", ""),
            "enable_model_api=true",
        ),
        ("register a.mar --model-name x", NO_ARCHIVE, "a file in TorchServe's model store or a URL of"),
        ("register a.mar --model-name x --synchronous", NO_WORKERS, "model_log.log"),
        ("unregister x", DEFAULT, "with set-default"),
        ("describe x", NO_MODEL, "Model not found: x; registered: genre, mnist"),
        ("scale x 9 --min-worker 1", NO_VERSION, "registered: 1.0, 2.0"),
        ("list", TOKEN, "TorchServe wants a token; no key file at"),
        (
            "list",
            httpx.Response(200, content=b"<html>\n<body>\n"),
            "not an answer of TorchServe's management API: b'<html>",
        ),
        ("describe genre", httpx.Response(200, json=[{"modelName": "genre"}]), "not an answer of"),
        ("set-default x 1.0", httpx.Response(200, json={}), "not an answer of"),
    ],
)
def test_a_failure_is_exit_code_1_and_one_line_that_helps(
    manage: Manage, torchserve: FakeTorchServe, arguments: str, answer: httpx.Response, said: str
) -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        if request.method == "GET" and request.url.path == "/models/x/all":
            return (
                NO_MODEL if "register" in arguments else described(version("1.0", 1, 1), version("2.0", 1, 1))
            )
        if request.method == "GET" and request.url.path == "/models" and answer is NO_MODEL:
            names = ("genre", "mnist")
            return httpx.Response(
                200, json={"models": [{"modelName": each, "modelUrl": ""} for each in names]}
            )
        return answer

    torchserve.answer = answered
    for form in ([], ["--json"]):
        result = manage(*arguments.split(), *form)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith("failed: ")
        assert said in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_torchserve_that_is_not_there_is_named() -> None:
    result = CliRunner().invoke(app, ["list", "torchserve.management_url=http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: TorchServe's management API at http://127.0.0.1:1: ")


def test_only_what_is_given_is_sent_and_the_url_not_where_it_is_logged(
    manage: Manage, torchserve: FakeTorchServe
) -> None:
    registered = False

    def answered(request: httpx.Request) -> httpx.Response:
        nonlocal registered
        if request.method == "GET" and registered:
            return described(version("1.0", 0, 1))
        if request.method == "GET":
            return error(404, "ModelNotFoundException", "Model not found: genre")
        registered = True
        return status("Processing worker updates...")

    torchserve.answer = answered
    url = "https://store/a.mar?signature=a&expires=1"
    result = manage(
        *("register", url, "--model-name", "genre", "--batch-size", "4", "--initial-workers", "1", "--json")
    )
    assert result.exit_code == 0, result.stderr
    [post] = [request for request in torchserve.requests if request.method == "POST"]
    assert post.url.path == "/models"
    assert post.url.query == b""
    assert json.loads(post.content) == {
        "model_name": "genre",
        "synchronous": False,
        "url": url,
        "batch_size": 4,
        "initial_workers": 1,
        "max_batch_delay": -100,  # TorchServe's own default
    }
    answer = json.loads(result.stdout)
    assert answer["status"] == "Processing worker updates..."
    assert answer["version"]["modelVersion"] == "1.0"


def test_who_does_not_wait_is_told_that_workers_are_still_starting(
    manage: Manage, torchserve: FakeTorchServe
) -> None:
    torchserve.answer = lambda request: (
        described(version("1.0", 1, 2)) if request.method == "GET" else status("Processing worker updates...")
    )
    result = manage("scale", "genre", "--min-worker", "2", "--timeout", "5", "--number-gpu", "1")
    assert result.exit_code == 0
    assert "1 of 2 workers READY, the others are still starting" in " ".join(result.stdout.split())
    assert dict(torchserve.requests[0].url.params) == {
        "synchronous": "false",
        "min_worker": "2",
        "number_gpu": "1",
        "timeout": "5",
    }


@pytest.mark.parametrize(
    ("dies", "wait", "said"), [(True, "60", "die while they load"), (False, "0.1", "0 of its 1 workers")]
)
def test_waiting_ends_with_the_time_or_when_workers_die_again_and_again(
    manage: Manage, torchserve: FakeTorchServe, dies: bool, wait: str, said: str
) -> None:
    pids = itertools.count(10)

    def answered(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return status("Processing worker updates...")
        worker = {"id": "9000", "status": "UNLOADING", "pid": next(pids) if dies else 10}
        return described(version("1.0", 0, 1) | {"workers": [worker]})

    torchserve.answer = answered
    result = manage("scale", "genre", "--min-worker", "1", "--wait", wait)
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: genre 1.0 is registered, but ")
    assert said in result.stderr


def test_all_pages_are_one_list(manage: Manage, torchserve: FakeTorchServe) -> None:
    names = ["a", "b", "c", "d"]

    def page(request: httpx.Request) -> httpx.Response:
        first = int(request.url.params["next_page_token"])
        last = first + int(request.url.params["limit"])
        # As TorchServe does it: a page that ends with the last model still names a next one, an empty one.
        token = {} if last > len(names) else {"nextPageToken": str(last)}
        models = [{"modelName": name, "modelUrl": f"{name}.mar"} for name in names[first:last]]
        return httpx.Response(200, json={"models": models, **token})

    torchserve.answer = page
    everything = json.loads(manage("list", "--limit", "2", "--all-pages", "--json").stdout)
    assert [model["modelName"] for model in everything["models"]] == names
    assert everything["nextPageToken"] is None
    second = json.loads(manage("list", "--limit", "3", "--page", "3", "--json").stdout)
    assert [model["modelName"] for model in second["models"]] == ["d"]
    assert "next page: --page 3" in manage("list", "--limit", "3").stdout


def test_a_description_is_what_torchserve_says_and_which_version_is_the_default(
    manage: Manage, torchserve: FakeTorchServe
) -> None:
    second = version("2.0", 1, 1) | {"customizedMetadata": {"labels": ["Horror"]}}
    torchserve.answer = lambda request: (
        described(version("1.0", 1, 1)) if request.url.path == "/models/genre" else described(second)
    )
    result = manage("describe", "genre", "2.0", "--customized", "--json")
    answer = json.loads(result.stdout)
    assert answer["defaultVersion"] == "1.0"
    [described_version] = answer["versions"]
    assert described_version["customizedMetadata"] == {"labels": ["Horror"]}
    assert described_version["jobQueueStatus"] == {"remainingCapacity": 200, "pendingRequests": 0}
    assert torchserve.requests[-1].url.params["customized"] == "true"
    table = manage("describe", "genre", "2.0", "--customized").stdout
    assert '"Horror"' in table
    assert "READY" in table
