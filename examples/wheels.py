"""Fetches packages that an example is made of, with their checksums, and installs nothing."""

import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 300
# On a machine without internet pip would try for minutes.
PATIENCE = ("--retries", "2", "--timeout", "15")
OPTIONS = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes")


class FetchError(Exception):
    """A package cannot be had."""


def fetched(requirements: Path, directory: Path) -> list[Path]:
    """Downloads the wheels of a file of requirements with checksums, without the packages that they need.

    Raises:
        FetchError: pip fails; the message has its last line.
    """
    command = [sys.executable, "-m", "pip", "download", *OPTIONS, *PATIENCE, "--dest", str(directory)]
    try:
        done = subprocess.run(
            [*command, "--only-binary", ":all:", "--requirement", str(requirements)],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise FetchError(f"pip cannot fetch {requirements} within {TIMEOUT_S} s") from exc
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        raise FetchError(f"pip cannot fetch {requirements}: {said[-1]}")
    return sorted(directory.glob("*.whl"))
