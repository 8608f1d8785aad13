"""The project's images at other sizes."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from tools.bench.preprocessing import SIZES
from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.settings.composition import PROJECT_ROOT

OTHER_KINDS = ("PNG", "WEBP")
# PNG files of larger sizes are above the gateway's limit of a request.
OTHER_SIZE = (1000, 1500)
MIXED = "JPEG, all sizes mixed"


def names() -> list[str]:
    """Names of the rows."""
    jpegs, others = (_name("JPEG", size) for size in SIZES), (_name(kind, OTHER_SIZE) for kind in OTHER_KINDS)
    return [*jpegs, *others, MIXED]


def images(clients: int) -> dict[str, list[bytes]]:
    """An image for each client, by the name of the row."""
    files = image_files(PROJECT_ROOT / "imgs")[:clients]
    rows = {_name("JPEG", size): [_encoded(file, size, "JPEG") for file in files] for size in SIZES}
    for kind in OTHER_KINDS:
        rows[_name(kind, OTHER_SIZE)] = [_encoded(file, OTHER_SIZE, kind) for file in files]
    jpegs = [rows[_name("JPEG", size)] for size in SIZES]
    rows[MIXED] = [jpegs[index % len(SIZES)][index] for index in range(len(files))]
    return {name: _in_turn(found, clients) for name, found in rows.items()}


def _name(kind: str, size: tuple[int, int]) -> str:
    return f"{kind} {size[0]} x {size[1]}"


def _encoded(file: Path, size: tuple[int, int], kind: str) -> bytes:
    content = io.BytesIO()
    with Image.open(file) as image:
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(content, kind, quality=90)
    return content.getvalue()


def _in_turn(found: Sequence[bytes], clients: int) -> list[bytes]:
    return [found[index % len(found)] for index in range(clients)]
