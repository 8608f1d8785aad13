"""Runs pip and prints what it fetches and how much is left, in plain lines every few seconds.

Usage: install_packages.py LOG REQUIREMENTS LOCK PIP ARGUMENTS...; everything that pip says is in LOG.
"""

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

INTERVAL_S = 5.0
# Megabytes of a package that is named when its download begins.
LARGE_MB = 20.0
MEGABYTES = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}


class Progress:
    """Counts pip's work so far, by its output.

    Args:
        most: number of packages to fetch, at most.
        folder: pip's temporary files, which grow while it downloads.
        packages: where it installs.
    """

    def __init__(self, most: int, folder: Path, packages: Path) -> None:
        self._most = most
        self._folder = folder
        self._packages = packages
        self._fetched: set[str] = set()
        self._megabytes = 0.0
        self._current: tuple[str, float] | None = None
        self._to_unpack: set[str] = set()

    def read(self, line: str) -> str | None:
        """Takes a line of pip's; returns a line to print at once, None: nothing that takes long begins."""
        if found := re.match(r"Installing collected packages: (.*)", line):
            self._current = None
            self._to_unpack = {_normal(each) for each in found[1].split(", ")}
            return f"unpacking {len(self._to_unpack)} packages, {self._megabytes:.0f} MB"
        if re.match(r"(Requirement already satisfied|Processing .*\.whl)", line):
            self._fetched.add(line)
        found = re.match(
            r"\s*(?:Downloading|Using cached) (\S+)\.(?:whl|tar\.gz|zip) \(([\d.]+) (\w+)\)", line
        )
        if not found:
            return None
        file, size_mb = unquote(found[1].rsplit("/", 1)[-1]), float(found[2]) * MEGABYTES.get(found[3], 1.0)
        self._fetched.add(file)
        self._megabytes += size_mb
        self._current = (file, size_mb)
        return f"fetching {_named(file)}, {size_mb:.0f} MB{self._left()}" if size_mb >= LARGE_MB else None

    def now(self) -> str:
        """The state of pip's work, for a line."""
        if self._to_unpack:
            there = {_normal(each.name.split("-")[0]) for each in self._packages.glob("*.dist-info")}
            return f"unpacked {len(self._to_unpack & there)} of {len(self._to_unpack)} packages"
        if self._current and self._current[1] >= LARGE_MB:
            file, size_mb = self._current
            if (here_mb := self._here_mb(file)) is not None:
                return f"fetching {_named(file)}: {here_mb:.0f} of {size_mb:.0f} MB{self._left()}"
        return f"fetched {self._megabytes:.0f} MB{self._left()}"

    def _left(self) -> str:
        return f" (package {len(self._fetched)} of at most {max(self._most, len(self._fetched))})"

    def _here_mb(self, file: str) -> float | None:
        sizes = [each.stat().st_size for each in self._folder.glob(f"*/{file}.*") if each.is_file()]
        return max(sizes) / 1e6 if sizes else None


def needed(requirements: Path, lock: Path) -> set[str]:
    """The packages of the lock that a requirements file pulls in, by pip-compile's `via` comments."""
    users: dict[str, set[str]] = {}
    name = ""
    for line in lock.read_text().splitlines():
        if found := re.match(r"([\w.-]+)==", line):
            name = found[1]
            users[name] = set()
        elif name and (found := re.match(r"\s+#\s+(?:via\s+)?(?!via$)(.+)", line)):
            users[name].add(found[1].strip())
    wanted = {f"-r {each}" for each in _files(requirements)}
    while new := {name for name, by in users.items() if by & wanted} - wanted:
        wanted |= new
    return wanted & users.keys()


def _files(requirements: Path) -> Iterator[str]:
    yield requirements.name
    for other in re.findall(r"^-r (\S+)", requirements.read_text(), re.MULTILINE):
        yield from _files(requirements.parent / other)


def _named(file: str) -> str:
    return " ".join(file.split("-")[:2])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def run(command: list[str], log: Path, progress: Progress, folder: Path) -> int:
    """Runs pip to its end; returns its exit code."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    environment = os.environ | {"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    lines: queue.Queue[str | None] = queue.Queue()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
    ) as pip:
        threading.Thread(target=_read, args=(pip, log, lines), daemon=True).start()
        said = time.monotonic()
        while True:
            try:
                line = lines.get(timeout=max(0.0, said + INTERVAL_S - time.monotonic()))
            except queue.Empty:
                to_say: str | None = progress.now()
            else:
                if line is None:
                    break
                to_say = progress.read(line)
            if to_say:
                print(f"  {to_say}", flush=True)
                said = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    return pip.returncode


def _read(pip: "subprocess.Popen[str]", log: Path, lines: "queue.Queue[str | None]") -> None:
    assert pip.stdout
    with log.open("w", errors="replace") as file:
        for line in pip.stdout:
            file.write(line)
            lines.put(line.rstrip("\n"))
    lines.put(None)


def main(arguments: list[str]) -> int:
    """Runs pip as the module's docstring says; returns its exit code."""
    log, requirements, lock = (Path(each) for each in arguments[:3])
    environment = log.parent.absolute()
    [packages] = environment.glob("lib/python3*/site-packages")
    folder = environment / "fetching"
    progress = Progress(len(needed(requirements, lock)), folder, packages)
    try:
        return run(arguments[3:], log, progress, folder)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
