"""`make bench`: decoding and preprocessing of an image, with `scaled_decoding` and without it, in turns.

Prints CPU milliseconds of both, their ratio, and how far the demo checkpoint's probabilities differ.
"""

import io
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from time import process_time

import torch
from PIL import Image

from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.image_input import decode_image, image_transform
from ts_serialize.torchscript import loaded

TURNS = 7
SIZES = ((200, 300), (500, 750), (1000, 1500), (2000, 3000), (4000, 6000))
FORMATS = ("JPEG", "PNG", "WEBP")
HEADING = f"{'':<24}{'full ms':>9}{'scaled ms':>11}{'full / scaled':>15}{'max |Δp|':>10}"
ENLARGED = PROJECT_ROOT / "imgs/drama.jpg"


def samples() -> Iterator[tuple[str, bytes]]:
    """The images of imgs/, and one of them at all sizes and in all formats."""
    for file in image_files(PROJECT_ROOT / "imgs"):
        yield file.name, file.read_bytes()
    image = Image.open(ENLARGED).convert("RGB")
    for size in SIZES:
        for format_ in FORMATS:
            content = io.BytesIO()
            image.resize(size, Image.Resampling.BICUBIC).save(content, format_, quality=90)
            yield enlarged_name(format_, size), content.getvalue()


def enlarged_name(format_: str, size: tuple[int, int]) -> str:
    """Format and size of an enlarged image."""
    return f"{format_} {size[0]} x {size[1]}"


def row(name: str, full_ms: float, scaled_ms: float, difference: float) -> str:
    """A row of the table."""
    return f"{name:<24}{full_ms:>9.2f}{scaled_ms:>11.2f}{full_ms / scaled_ms:>15.2f}{difference:>10.4f}"


def cpu_ms(run: Callable[[], object]) -> float:
    """CPU milliseconds of one call."""
    start = process_time()
    run()
    return (process_time() - start) * 1000


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    model = load("project", ProjectSettings).model
    network, transform = loaded(model.checkpoint.path), image_transform(model.preprocessing.model_dump())

    def prepared(encoded: bytes, resize: int | list[int] | None) -> torch.Tensor:
        tensor: torch.Tensor = transform(decode_image(encoded, model.preprocessing.max_pixels, resize))
        return tensor

    print(HEADING)
    for name, encoded in samples():
        ways = [partial(prepared, encoded, resize) for resize in (None, model.preprocessing.resize)]
        turns = [[cpu_ms(way) for way in ways] for _ in range(TURNS)]
        full, scaled = (statistics.median(column) for column in zip(*turns, strict=True))
        with torch.inference_mode():
            answers = [torch.softmax(network(way()[None]), dim=1) for way in ways]
        difference = (answers[0] - answers[1]).abs().max().item()
        print(row(name, full, scaled, difference), flush=True)


if __name__ == "__main__":
    main()
