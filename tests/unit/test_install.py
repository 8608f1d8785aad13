"""`tools/install.sh` finds a Python 3.11 or says the line to type; what pip does is seen while it does it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.install_packages import Progress, needed
from torchserve_gateway.settings.composition import PROJECT_ROOT

# Everything that the script runs besides Python, uv and apt-cache.
PROGRAMS = ("sh", "awk", "df", "id", "tail", "cat", "ln", "rm", "grep", "mkdir", "chmod")
# Makes an environment whose pip prints as pip does.
PYTHON = """#!/bin/sh
case "$*" in
    *version_info*) echo 3.11 ;;
    *ensurepip*) ;;
    "-m venv .venv")
        mkdir -p .venv/bin .venv/lib/python3.11/site-packages
        { echo '#!/bin/sh'; echo 'echo "Collecting torch"'
          echo 'echo "  Downloading torch-2.13.0-cp311.whl (900.5 MB)"'
          echo 'echo "Installing collected packages: torch"; exit '"${PIP_ENDS:-0}"; } >.venv/bin/pip
        chmod +x .venv/bin/pip; printf '#!/bin/sh\nexit 1\n' >.venv/bin/python; chmod +x .venv/bin/python ;;
    *) exec REAL "$@" ;;
esac
"""
OTHER = "#!/bin/sh\necho 3.13\n"


class Machine:
    """A folder with the script, and a PATH with nothing but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name in PROGRAMS:
            found = shutil.which(name)
            assert found
            (self.programs / name).symlink_to(found)
        shutil.copytree(PROJECT_ROOT / "tools", folder / "tools", ignore=lambda *_: ["bench", "dashboard"])
        (folder / "requirements.txt").write_text("torch\n")
        (folder / "requirements.lock").write_text("torch==2.13.0\n    # via -r requirements.txt\n")

    def add(self, name: str, text: str, folder: Path | None = None) -> Path:
        path = (folder or self.programs) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("REAL", sys.executable))
        path.chmod(0o755)
        return path

    def install(self, *index: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["tools/install.sh", "requirements.txt", *index],
            cwd=self.folder,
            env={"PATH": str(self.programs), "HOME": str(self.folder / "home"), **environment},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_is_fetched_and_the_way_without_cuda_are_seen(machine: Machine) -> None:
    machine.add("python3.11", PYTHON)
    done = machine.install()
    assert done.returncode == 0, done.stderr
    before, _, after = done.stdout.partition("installing requirements.txt into .venv")
    assert "make demo TORCH_INDEX=URL" in before
    assert "fetching torch 2.13.0, 900 MB (package 1 of at most 1)" in after
    assert "unpacking 1 packages" in after
    assert "Collecting torch" in (machine.folder / ".venv" / "install.log").read_text()
    assert "TORCH_INDEX" not in machine.install().stdout


def test_with_the_cpu_index_nothing_is_said_of_it(machine: Machine) -> None:
    machine.add("python3.11", PYTHON)
    assert "TORCH_INDEX" not in machine.install("https://example.org/cpu").stdout


def test_a_failing_pip_is_shown(machine: Machine) -> None:
    machine.add("python3.11", PYTHON)
    done = machine.install(PIP_ENDS="1")
    assert done.returncode == 1
    assert "Collecting torch" in done.stderr
    assert "pip failed; all it said is in .venv/install.log" in done.stderr


def test_uv_finds_a_python_or_fetches_it(machine: Machine) -> None:
    machine.add("python3", OTHER)
    python = machine.add("python", PYTHON, machine.folder / "of_uv")
    fetched = machine.folder / "fetched"
    machine.add(
        "uv",
        f'#!/bin/sh\ncase "$*" in\n"python install 3.11") : >{fetched} ;;\n'
        f'"python find --system 3.11") [ -e {fetched} ] && echo {python} ;;\nesac\n',
        # Where its own installer puts it; a shell that runs does not have it on its PATH.
        machine.folder / "home" / ".local" / "bin",
    )
    done = machine.install()
    assert done.returncode == 0, done.stderr
    assert "uv fetches Python 3.11" in done.stderr
    assert (machine.folder / ".venv" / "bin" / "pip").exists()


@pytest.mark.parametrize(
    ("candidate", "line"),
    [("3.11.2-6", "apt-get install python3.11 python3.11-venv"), ("(none)", "uv/install.sh | sh")],
)
def test_without_any_the_line_to_type_is_said(machine: Machine, candidate: str, line: str) -> None:
    machine.add("python3", OTHER)
    machine.add("apt-cache", f"#!/bin/sh\necho '  Candidate: {candidate}'\n")
    done = machine.install()
    assert done.returncode == 1
    assert "Python 3.11 is missing" in done.stderr
    assert line in done.stderr
    assert not (machine.folder / ".venv").exists()


def test_a_large_download_is_followed(tmp_path: Path) -> None:
    progress = Progress(90, tmp_path, tmp_path)
    assert progress.read("Collecting small") is None
    assert progress.read("  Downloading small-1.0-py3-none-any.whl (12 kB)") is None
    begun = progress.read("  Downloading torch-2.13.0%2Bcpu-cp311-linux.whl (900.5 MB)")
    assert begun == "fetching torch 2.13.0+cpu, 900 MB (package 2 of at most 90)"
    (tmp_path / "pip-unpack-x").mkdir()
    part = tmp_path / "pip-unpack-x" / "torch-2.13.0+cpu-cp311-linux.whl"
    with part.open("wb") as file:
        file.truncate(412_000_000)
    assert progress.now() == "fetching torch 2.13.0+cpu: 412 of 900 MB (package 2 of at most 90)"
    progress.read("Installing collected packages: small, torch")
    (tmp_path / "small-1.0.dist-info").mkdir()
    assert progress.now() == "unpacked 1 of 2 packages"


def test_packages_to_fetch_are_counted_from_the_lock(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("one\n")
    lock = tmp_path / "lock"
    lock.write_text(
        "one==1\n    # via -r b.txt\ntwo==1\n    # via\n    #   one\n    #   other\n"
        "three==1\n    # via two\nother==1\n    # via -r c.txt\n"
    )
    assert needed(tmp_path / "a.txt", lock) == {"one", "two", "three"}
    assert "torch" in needed(PROJECT_ROOT / "requirements.txt", PROJECT_ROOT / "requirements.lock")


def test_the_script_is_executable() -> None:
    assert os.access(PROJECT_ROOT / "tools" / "install.sh", os.X_OK)
