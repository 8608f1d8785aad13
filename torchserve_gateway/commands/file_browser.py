"""`make run_nginx_filebrowser`: nginx over model_mars/ in the foreground.

A container engine runs it where there is one, else the machine's own nginx.
"""

import getpass
import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.local_stack import StackSettings

logger = logging.getLogger(__name__)

CONFIG = Path(__file__).with_name("file_browser.conf")
IMAGE = "docker.io/library/nginx:stable"
ENGINES = ("docker", "podman")
# Paths of Debian's nginx packages, which are not on every user's PATH.
NGINX_PATHS = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")


class FileBrowserError(Exception):
    """nginx was not started; the message names what is missing."""


def run_file_browser(settings: StackSettings) -> None:
    """Becomes the nginx process, or the process of the container engine that runs it.

    Raises:
        FileBrowserError: there is neither a container engine nor nginx, or a folder cannot be written.
    """
    try:
        settings.model_mars.mkdir(parents=True, exist_ok=True)
        engine = next((each for each in ENGINES if _can_run(each)), None)
        command = _container_command(engine, settings) if engine else _local_command(settings)
        logger.info(
            "%s serves %s at %s", Path(command[0]).name, settings.model_mars, settings.file_browser.url
        )
        os.execvp(command[0], command)  # noqa: S606 - a shell would catch the signals
    except OSError as exc:
        raise FileBrowserError(f"the file browser cannot start: {exc}") from exc


def _local_command(settings: StackSettings) -> list[str]:
    """Prepares nginx's prefix and makes it the working directory.

    As relative paths, folders of any name are safe: nginx would expand a `$` in its configuration.
    """
    prefix, browser = settings.state_dir / "file_browser", settings.file_browser
    prefix.mkdir(parents=True, exist_ok=True)
    archives = prefix / "archives"
    archives.unlink(missing_ok=True)
    archives.symlink_to(settings.model_mars)
    config = CONFIG.read_text().replace("listen 5002;", f"listen {browser.host}:{browser.port};")
    (prefix / "nginx.conf").write_text(config)
    os.chdir(prefix)
    # nginx as root would run its workers as `nobody`, a user who may not read the folder.
    user = f" user {getpass.getuser()};" if os.geteuid() == 0 else ""
    return [_nginx(), "-p", "./", "-c", "nginx.conf", "-e", "stderr", "-g", f"daemon off;{user}"]


def _can_run(engine: str) -> bool:
    """Whether the engine answers and has, or can get, the image."""
    if not shutil.which(engine):
        return False
    attempts = ([engine, "info"], [engine, "image", "inspect", IMAGE])
    info, image = (
        subprocess.run(each, capture_output=True, check=False).returncode == 0 for each in attempts
    )
    pull = [engine, "pull", "-q", IMAGE]
    return info and (image or subprocess.run(pull, capture_output=True, check=False).returncode == 0)


def _container_command(engine: str, settings: StackSettings) -> list[str]:
    browser = settings.file_browser
    return [
        *(engine, "run", "--rm", "--name", f"file-browser-{browser.port}"),
        *("--publish", f"{browser.host}:{browser.port}:5002"),
        *("--volume", f"{settings.model_mars}:/tmp/archives:ro"),
        *("--volume", f"{CONFIG}:/etc/nginx/nginx.conf:ro"),
        IMAGE,
        *("nginx", "-p", "/tmp/", "-e", "stderr", "-g", "daemon off;"),  # noqa: S108 - the container's own
    ]


def _nginx() -> str:
    found = shutil.which("nginx") or next((path for path in NGINX_PATHS if Path(path).exists()), None)
    if not found:
        raise FileBrowserError(
            "neither a running docker or podman nor nginx is here; install one, "
            "for example: apt-get install nginx-light"
        )
    return found


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("stack", StackSettings, run_file_browser, (FileBrowserError,), argv)
