"""The local stack's files say what was meant, wherever the checkout lies."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from torchserve_gateway.commands.file_browser import FileBrowserError, nginx_config
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


def test_nginx_gets_paths_as_they_are() -> None:
    config = nginx_config(Path(f"/{ODD};"), "127.0.0.1:5002", Path('/a "b"'), None)
    assert f'root "/{ODD};";' in config
    assert f'alias "/{ODD};/";' in config
    assert 'pid "/a \\"b\\"/nginx.pid";' in config


def test_a_path_that_nginx_would_expand_is_refused() -> None:
    with pytest.raises(FileBrowserError, match=r"nginx cannot serve /a\$b"):
        nginx_config(Path("/a$b"), "127.0.0.1:5002", Path("/state"), None)
