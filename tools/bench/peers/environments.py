"""An environment for each peer under var/peers/, with torch and all that fits from the project's own."""

import subprocess
import sys
import sysconfig
from pathlib import Path

from torchserve_gateway.settings.composition import PROJECT_ROOT

PINS = {
    "litserve": ("litserve==0.2.19",),
    # Its workers ask for an event loop that newer versions of uvloop no longer make.
    "mlserver": ("mlserver==1.7.1", "uvloop==0.21.0"),
    "bentoml": ("bentoml==1.4.40",),
    "ray": ("ray[serve]==2.60.0",),
}
INSTALL_S = 300


class NotInstalledError(Exception):
    """The peer cannot be installed; the message says why in a line."""


def program(peer: str, name: str) -> str:
    """Path of a program in the peer's environment."""
    return str(PROJECT_ROOT / "var/peers" / peer / "bin" / name)


def provide(peer: str) -> None:
    """Makes the environment unless it is there with these pins.

    Raises:
        NotInstalledError: pip fails or takes too long.
    """
    folder = PROJECT_ROOT / "var/peers" / peer
    done, pins = folder / "installed.txt", "\n".join(PINS[peer])
    if done.is_file() and done.read_text() == pins:
        return
    print(f"installing {', '.join(PINS[peer])} into {folder.relative_to(PROJECT_ROOT)}", flush=True)
    try:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _share_packages(folder)
        pip = (program(peer, "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _run(*pip, "--no-input", *PINS[peer])
    except subprocess.CalledProcessError as exc:
        said = exc.stderr.strip().splitlines() or [f"exit code {exc.returncode}"]
        raise NotInstalledError(said[-1]) from exc
    except (subprocess.TimeoutExpired, OSError) as exc:
        raise NotInstalledError(str(exc)) from exc
    done.write_text(pins)


def _share_packages(folder: Path) -> None:
    """Adds the project's packages behind the environment's own."""
    ours = sysconfig.get_path("purelib")
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "project.pth").write_text(f"{ours}\n")


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
