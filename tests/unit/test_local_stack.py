"""The local stack's files say what was meant, wherever the checkout lies."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from supervisor.options import ServerOptions

from tests.conftest import require_program
from tests.free_ports import free_ports
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


@pytest.mark.parametrize("name", ["a ;b", "a #b", "a\nb"])
def test_a_path_that_supervisor_would_cut_is_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SupervisorConfigError, match="move the checkout or the folder"):
        configured(tmp_path / name, [], monkeypatch)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


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
