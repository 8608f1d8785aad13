"""Takes MTCNN, code and weights, out of the package facenet-pytorch, without the packages that it pins."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.project import ProjectSettings

PACKAGE = Path(__file__).with_name("package.txt")
NAME = "facenet_pytorch"
WANTED = (
    *("models/mtcnn.py", "models/utils/detect_face.py"),
    *("data/pnet.pt", "data/rnet.pt", "data/onet.pt"),
)
LICENCE = "LICENSE.md"
# The package's own imports what its other models need.
EMPTY = ("__init__.py", "models/__init__.py", "models/utils/__init__.py")
DOWNLOAD_TIMEOUT_S = 300


class BuildError(Exception):
    """The package cannot be had."""


def build(settings: ProjectSettings) -> None:
    """Writes the package's files into the first of the model's extra files, a folder, and says where.

    Raises:
        BuildError: the package cannot be fetched.
    """
    folder = settings.model.extra_files[0]
    with tempfile.TemporaryDirectory() as directory:
        unpack(fetched(Path(directory)), folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder} ({size / 1e6:.1f} MB)")


def fetched(directory: Path) -> Path:
    """Downloads the package's wheel, with the checksum in package.txt.

    Raises:
        BuildError: pip fails; the message has its last line.
    """
    options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes")
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(directory)]
    try:
        done = subprocess.run(
            [*command, "--requirement", str(PACKAGE)],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise BuildError(f"pip cannot fetch {PACKAGE.name} within {DOWNLOAD_TIMEOUT_S} s") from exc
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it says nothing"]
        raise BuildError(f"pip cannot fetch {PACKAGE}: {said[-1]}")
    [wheel] = directory.glob("*.whl")
    return wheel


def unpack(wheel: Path, folder: Path) -> None:
    """Writes the wanted files of the wheel, and its licence, as an importable package."""
    with zipfile.ZipFile(wheel) as archive:
        [licence] = [name for name in archive.namelist() if name.endswith(f".dist-info/{LICENCE}")]
        files = {each: archive.read(f"{NAME}/{each}") for each in WANTED} | {LICENCE: archive.read(licence)}
    for name, content in (files | dict.fromkeys(EMPTY, b"")).items():
        file = folder / NAME / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


if __name__ == "__main__":
    sys.exit(run("gateway", ProjectSettings, build, (BuildError,)))
