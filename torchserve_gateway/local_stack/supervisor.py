"""TorchServe and gateway under Supervisor (http://supervisord.org), which restarts and stops both."""

import http.client
import re
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable, Sequence
from configparser import RawConfigParser
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from torchserve_gateway.settings.local_stack import StackSettings

# The groups of config/project.yaml; other settings are the stack's own.
SHARED_GROUPS = ("torchserve", "model", "served_model", "gateway", "file_browser")

# An argument of both programs, as `_quoted` writes it.
MODELS = re.compile(r' "\+{0,2}gateway\.models=\[([^]"]*)]"')

UNAVAILABLE = (OSError, http.client.HTTPException, xmlrpc.client.Error)


class SupervisorConfigError(Exception):
    """A path or a setting cannot be written into Supervisor's configuration."""


@dataclass(frozen=True)
class Part:
    """One supervised process."""

    name: str
    """`torchserve` or `gateway`."""
    state: str
    """Supervisor's name for its state; RUNNING when all is well."""
    pid: int
    """Process id; 0: no process."""
    ended: bool
    """Whether it has ended since the supervisor started."""


class Supervisor:
    """The supervisor of the stack in one state directory, running or not."""

    def __init__(self, settings: StackSettings) -> None:
        self._settings = settings
        self._config = settings.state_dir / "supervisord.conf"
        self._socket = settings.runtime_dir / "supervisor.sock"

    @property
    def _rpc(self) -> Any:
        # One connection a call: Supervisor's transport does not recover from a call that failed.
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def pid(self) -> int | None:
        """The supervisor's process id; None: it does not run."""
        try:
            return int(self._rpc.getPID())
        except UNAVAILABLE:
            return None

    def parts(self) -> list[Part]:
        """The supervised parts, in the order in which they start."""
        try:
            infos = self._rpc.getAllProcessInfo()
        except UNAVAILABLE:
            return []
        return [
            Part(info["name"], info["statename"], info["pid"], ended=info["stop"] > 0)
            for info in sorted(infos, key=lambda info: list(self._programs([])).index(info["name"]))
        ]

    def lacking_models(self, overrides: Sequence[str], models: Iterable[str]) -> set[str] | None:
        """Those of `gateway.models` that it was started without; None: other settings, or another folder."""
        started = self._config.read_text() if self._config.exists() else ""
        wanted = self._render(overrides)
        if started == wanted:
            return set()
        if MODELS.sub("", started) != MODELS.sub("", wanted):
            return None
        known = MODELS.search(started)
        return set(models) - {each.strip() for each in known[1].split(",")} if known else set(models)

    def start(self, overrides: Sequence[str]) -> None:
        """Starts the supervisor in the background, and with it all parts.

        Raises:
            OSError, subprocess.CalledProcessError: it does not start; the latter holds its output.
            SupervisorConfigError: its configuration cannot hold a path or an override.
        """
        self._settings.make_runtime_dir()
        self._settings.log_dir.mkdir(parents=True, exist_ok=True)
        self._config.write_text(self._render(overrides))
        subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._config)],
            check=True,
            capture_output=True,
            text=True,
        )

    def shutdown(self) -> None:
        """Asks the supervisor to stop all parts, the last started first, and then itself; returns at once."""
        self._rpc.shutdown()

    def log_of(self, part: str) -> Path:
        """The file of a part's output."""
        return self._settings.log_dir / f"{part}.log"

    def _programs(self, overrides: Sequence[str]) -> dict[str, list[str]]:
        shared = [
            each for each in overrides if each.lstrip("+~").split("=")[0].split(".")[0] in SHARED_GROUPS
        ]
        return {
            "torchserve": [sys.executable, "-m", "torchserve_gateway.commands.torchserve", *overrides],
            "gateway": [sys.executable, "-m", "torchserve_gateway", "app", *shared],
        }

    def _render(self, overrides: Sequence[str]) -> str:
        config = RawConfigParser()
        config["unix_http_server"] = {"file": _path(self._socket), "chmod": "0700"}
        config["supervisord"] = {
            "directory": _path(Path.cwd()),
            "logfile": _path(self.log_of("supervisord")),
            "pidfile": _path(self._settings.runtime_dir / "supervisord.pid"),
        }
        config["rpcinterface:supervisor"] = {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        }
        for priority, (name, command) in enumerate(self._programs(overrides).items()):
            config[f"program:{name}"] = {
                "command": " ".join(_quoted(argument) for argument in command),
                "priority": str(priority),  # started first, stopped last
                "autorestart": "true",
                "startsecs": "2",
                "startretries": "1000",  # with growing pauses: whatever keeps it down may pass
                "stopwaitsecs": str(self._settings.stop_timeout_s),
                "killasgroup": "true",  # TorchServe's workers
                "redirect_stderr": "true",
                # Expanded twice.
                "stdout_logfile": _path(self.log_of(name)).replace("%", "%%"),
                "environment": 'PYTHONUNBUFFERED="1"',
            }
        text = StringIO()
        config.write(text)
        return text.getvalue()


def _path(path: Path) -> str:
    return _escaped(str(path))


def _quoted(argument: str) -> str:
    # Supervisor splits like a shell.
    escaped = _escaped(argument).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    # It starts a comment, and cannot be escaped.
    if re.search(r"\s[;#]|[\r\n]", text):
        raise SupervisorConfigError(
            f"Supervisor's configuration cannot hold {text!r}, as it has ';' or '#' after a space, or a line "
            "break; move the checkout or the folder, or write the setting otherwise"
        )
    # It expands %(name)s.
    return text.replace("%", "%%")
