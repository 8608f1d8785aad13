"""The local stack's files say what was meant, wherever the checkout lies."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from supervisor.options import ServerOptions

from tests.commands import command
from tests.conftest import require_program
from tests.free_ports import free_ports
from tests.http_client import answers
from tests.processes import Process, until
from torchserve_gateway.local_stack.supervisor import Supervisor, SupervisorConfigError
from torchserve_gateway.settings.composition import as_override, load
from torchserve_gateway.settings.local_stack import StackSettings

ODD = "my clone, v=1 (it's 100% {ok}) 50%%"


def configured(state_dir: Path, overrides: list[str], monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    """What Supervisor reads of the file that is written for it."""
    settings = load("stack", StackSettings, [as_override("state_dir", state_dir)])
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    try:
        Supervisor(settings).start(overrides)
        options = ServerOptions()
        options.realize(["-c", str(state_dir / "supervisord.conf")])
    finally:
        shutil.rmtree(settings.runtime_dir, ignore_errors=True)
    return options


def test_supervisor_gets_paths_and_overrides_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state_dir, override = tmp_path / ODD, as_override("model.weights.path", f'/{ODD}/\\ "net".pt')
    options = configured(state_dir, [override], monkeypatch)
    assert options.logfile == str(state_dir / "log" / "supervisord.log")
    parts = {
        group.process_configs[0].name: group.process_configs[0] for group in options.process_group_configs
    }
    for name, part in parts.items():
        assert part.stdout_logfile == str(state_dir / "log" / f"{name}.log")
        assert shlex.split(part.command)[-1] == override


@pytest.mark.parametrize(
    ("started", "asked", "lacking"),
    [
        ("genre,imagenet", "genre,imagenet", set()),
        ("genre,imagenet", "", set()),
        ("genre,imagenet", "imagenet,digits", {"digits"}),
        ("", "genre,imagenet", {"genre", "imagenet"}),
        ("", "", set()),
    ],
)
def test_a_running_stack_tells_which_models_it_lacks(
    tmp_path: Path, started: str, asked: str, lacking: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {each: [f"gateway.models=[{each}]"] if each else [] for each in (started, asked)}
    wanted = asked.split(",") if asked else []
    configured(tmp_path, ["model=genre", *models[started], "gateway.port=6003"], monkeypatch)
    supervisor = Supervisor(load("stack", StackSettings, [as_override("state_dir", tmp_path)]))
    same = ["model=genre", *models[asked], "gateway.port=6003"]
    assert supervisor.lacking_models(same, wanted) == lacking
    assert supervisor.lacking_models([*same, "gateway.deadline_s=5"], wanted) is None


def test_what_never_ran_has_other_settings(tmp_path: Path) -> None:
    supervisor = Supervisor(load("stack", StackSettings, [as_override("state_dir", tmp_path)]))
    assert supervisor.lacking_models(["gateway.models=[genre]"], ["genre"]) is None


@pytest.mark.parametrize("name", ["a ;b", "a #b", "a\nb"])
def test_a_path_that_supervisor_would_cut_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SupervisorConfigError, match="move the checkout or the folder"):
        configured(tmp_path / name, [], monkeypatch)


def test_nginx_serves_a_folder_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_program("nginx")
    monkeypatch.setenv("PATH", "/usr/sbin:/nonexistent")  # no container engine
    folder = tmp_path / f'{ODD}; $uri "quoted"'
    (folder / "mars").mkdir(parents=True)
    (folder / "mars" / "a.mar").write_text("archive")
    [port] = free_ports(1)
    overrides = [as_override("state_dir", folder / "var"), as_override("model_mars", folder / "mars")]
    command = [sys.executable, "-m", "torchserve_gateway", "file-browser", f"file_browser.port={port}"]
    process = Process(tmp_path / "nginx.log", [*command, *overrides])
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/"))
        assert httpx.get(f"http://127.0.0.1:{port}/files/a.mar").text == "archive"
    finally:
        process.terminate()
        process.until_gone()


@pytest.mark.slow
def test_logs_follows_the_gateways_log_and_others_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "log"
    folder.mkdir(parents=True)
    for name in ("access_log", "gateway", "model_log", "supervisord", "torchserve", "ts_log"):
        (folder / f"{name}.log").write_text(f"a line of {name}\n")
    assert followed(tmp_path) == {"gateway"}
    assert followed(tmp_path, "--of", "handler") == {"model_log"}
    # The output of TorchServe repeats the lines of its files.
    assert followed(tmp_path, "--of", "all") == {"gateway", "torchserve", "supervisord"}
    (folder / "gateway.log").unlink()
    missing = command("logs", as_override("state_dir", tmp_path / "var"))
    assert missing.exit_code == 1
    assert f"there is no {folder}/gateway.log yet; make up" in missing.stderr


def followed(directory: Path, *options: str) -> set[str]:
    """Names of the logs whose lines are printed."""
    log = directory / "followed.txt"
    log.unlink(missing_ok=True)
    state = as_override("state_dir", directory / "var")
    process = Process(log, [sys.executable, "-m", "torchserve_gateway", "logs", *options, state])
    try:
        last = {"handler": "model_log", "all": "supervisord"}.get(options[-1] if options else "", "gateway")
        until(lambda: f"a line of {last}" in log.read_text())
    finally:
        process.terminate()
        process.until_gone()
    return set(re.findall(r"a line of (\w+)", log.read_text()))
