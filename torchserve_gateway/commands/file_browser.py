"""`make run_nginx_filebrowser`: nginx over model_mars/ in the foreground.

From the container image where a container engine runs, else the machine's own nginx.
"""

import getpass
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.local_stack import StackSettings

logger = logging.getLogger(__name__)

IMAGE = "docker.io/library/nginx:stable"
ENGINES = ("docker", "podman")
# What Debian's nginx packages install; not on every user's PATH.
NGINX_PATHS = ("/usr/sbin/nginx", "/usr/local/sbin/nginx")


class FileBrowserError(Exception):
    """nginx was not started; the message says what is missing."""


def run_file_browser(settings: StackSettings) -> None:
    """Becomes the nginx process, or that of the engine that runs it.

    Raises:
        FileBrowserError: there is neither a container engine nor nginx, or a path is not for nginx.
    """
    state = settings.state_dir / "file_browser"
    try:
        settings.model_mars.mkdir(parents=True, exist_ok=True)
        state.mkdir(parents=True, exist_ok=True)
        config = state / "nginx.conf"
        engine = next((each for each in ENGINES if _can_run(each)), None)
        if engine:
            # The container has its own network: nginx listens to all of it, the engine to our address.
            config.write_text(nginx_config(Path("/archives"), "80", Path("/var/run"), None))
            command = _container_command(engine, settings, config)
        else:
            address = f"{settings.file_browser.host}:{settings.file_browser.port}"
            config.write_text(nginx_config(settings.model_mars, address, state, _root_user()))
            command = [_nginx(), "-c", str(config), "-e", "stderr", "-g", "daemon off;"]
        logger.info(
            "%s serves %s at %s", Path(command[0]).name, settings.model_mars, settings.file_browser.url
        )
        os.execvp(command[0], command)  # noqa: S606 - a shell would catch the signals
    except OSError as exc:
        raise FileBrowserError(f"the file browser cannot start: {exc}") from exc


def nginx_config(archives: Path, listen: str, state: Path, user: str | None) -> str:
    """nginx.conf. state: where nginx may write; user: whom workers run as, None if nginx is not root."""
    temp_paths = "\n".join(
        f"  {kind}_temp_path {_quoted(state / kind)};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""# Written at every start by torchserve_gateway/commands/file_browser.py.
{f"user {user};" if user else ""}
worker_processes 1;
pid {_quoted(state / "nginx.pid")};
events {{ worker_connections 256; }}
http {{
  access_log /dev/stdout;
  default_type application/octet-stream;
  sendfile on;
{temp_paths}
  server {{
    listen {listen};
    autoindex on;
    autoindex_exact_size off;
    location ~ /\\. {{ return 404; }}
    location /files/ {{ alias {_quoted(archives, "/")}; }}
    location / {{ root {_quoted(archives)}; }}
  }}
}}
"""


def _quoted(path: Path, end: str = "") -> str:
    # A variable, and nothing takes that meaning from it.
    if "$" in str(path):
        raise FileBrowserError(f"nginx cannot serve {path}, as it has a $; move it")
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}{end}"'


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


def _container_command(engine: str, settings: StackSettings, config: Path) -> list[str]:
    browser = settings.file_browser
    return [
        *(engine, "run", "--rm", "--name", f"file-browser-{browser.port}"),
        *("--publish", f"{browser.host}:{browser.port}:80"),
        *("--volume", f"{settings.model_mars}:/archives:ro"),
        *("--volume", f"{config}:/etc/nginx/nginx.conf:ro"),
        IMAGE,
        *("nginx", "-g", "daemon off;"),
    ]


def _nginx() -> str:
    found = shutil.which("nginx") or next((path for path in NGINX_PATHS if Path(path).exists()), None)
    if not found:
        raise FileBrowserError(
            "neither a running docker or podman nor nginx is here; install one, "
            "for example: apt-get install nginx-light"
        )
    return found


def _root_user() -> str | None:
    # nginx as root would hand its workers to `nobody`, who may not read the project's folder.
    return getpass.getuser() if os.geteuid() == 0 else None


if __name__ == "__main__":
    sys.exit(run("stack", StackSettings, run_file_browser, (FileBrowserError,)))
