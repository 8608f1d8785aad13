"""An environment with a wheel of ours and nothing else of the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from torchserve_gateway.settings.composition import PROJECT_ROOT

GIVE_UP_S = 300
# Files of a checkout that a wheel is made of; a build writes beside them, so it gets a copy.
PACKAGED = (
    *("pyproject.toml", "README.md", "torchserve_gateway", "ts_serialize", "config", "imgs", "weights"),
    *(file.name for file in PROJECT_ROOT.glob("requirements*.txt")),
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    directory: Path
    """Where it lies."""

    @property
    def site_packages(self) -> Path:
        """The folder of its packages."""
        return self.directory / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"

    def run(self, folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of its programs, called in a folder, to its end."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        return subprocess.run(
            [self.directory / "bin" / program, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=GIVE_UP_S,
            check=False,
        )


def with_wheel(source: Path, directory: Path) -> Environment:
    """Builds a wheel from `source` and installs it into a new environment below `directory`.

    The packages that it needs are those of the running environment: a test downloads nothing.
    """
    wheels, environment = directory / "wheels", Environment(directory / "environment")
    pip = [sys.executable, "-m", "pip"]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    _succeeds([*pip, "wheel", *options, "--no-build-isolation", "--wheel-dir", str(wheels), str(source)])
    _succeeds([sys.executable, "-m", "venv", "--without-pip", str(environment.directory)])
    python = str(environment.directory / "bin" / "python")
    [wheel] = wheels.glob("*.whl")
    _succeeds([*pip, "--python", python, "install", *options, str(wheel)])
    (environment.site_packages / "needs.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return environment


def copy_of_checkout(directory: Path) -> Path:
    """The packaged files of the checkout."""
    for name in PACKAGED:
        source = PROJECT_ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, directory / name, symlinks=True, ignore=ignored)
        else:
            directory.mkdir(exist_ok=True)
            shutil.copy(source, directory)
    return directory


def copy_of_client(directory: Path) -> Path:
    """The client's folder, alone as pip gets it."""
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    return Path(shutil.copytree(PROJECT_ROOT / "clients" / "python", directory, ignore=ignored))


def _succeeds(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=GIVE_UP_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
