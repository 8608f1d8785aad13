"""`make bench`: preprocessing of an image by torchvision, by us, and by us with `scaled_decoding`, in turns.

Torchvision runs in a process of its own, whose allocator is as it was. Prints CPU milliseconds of each, and
how far the demo checkpoint's probabilities differ from those after torchvision.
"""

import io
import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from time import process_time
from typing import Any

import torch
from PIL import Image

from tools.bench.peers.servers.classifier import preprocessing
from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.allocator import keep_freed_memory
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform
from ts_serialize.torchscript import loaded

TURNS = 15
SIZES = ((200, 300), (500, 750), (1000, 1500), (2000, 3000), (4000, 6000))
FORMATS = ("JPEG", "PNG", "WEBP")
COLUMNS = ("torchvision ms", "ours ms", "scaled ms", "torchvision / scaled", "max |Δp|")
HEADING = f"{'':<22}" + "".join(f"  {column}" for column in COLUMNS)
MEAN = "imgs/ in the mean"
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


def row(name: str, times_ms: Sequence[float], difference: float) -> str:
    """A row of the table; times: of torchvision, ours, and ours with `scaled_decoding`."""
    texts = [*(f"{each:.2f}" for each in (*times_ms, times_ms[0] / times_ms[-1])), f"{difference:.4f}"]
    cells = (f"  {text:>{len(column)}}" for text, column in zip(texts, COLUMNS, strict=True))
    return f"{name:<22}{''.join(cells)}"


def cpu_ms(run: Callable[[], object]) -> float:
    """CPU milliseconds of one call."""
    start = process_time()
    run()
    return (process_time() - start) * 1000


def by_torchvision(settings: dict[str, Any], encoded: bytes) -> torch.Tensor:
    """Preprocesses as torchvision's documentation does."""
    tensor: torch.Tensor = preprocessing(settings)(Image.open(io.BytesIO(encoded)).convert("RGB"))
    return tensor


def torchvision_ms(settings: dict[str, Any], encoded: bytes) -> float:
    """CPU milliseconds of torchvision, in the process where it is called."""
    torch.set_num_threads(1)
    return cpu_ms(partial(by_torchvision, settings, encoded))


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    keep_freed_memory()
    model = load("project", ProjectSettings).model
    settings, network = model.preprocessing.model_dump(), loaded(model.checkpoint.path)
    transform = image_transform(settings)

    def ours(encoded: bytes, resize: int | list[int] | None) -> torch.Tensor:
        return transform(decode_image(encoded, settings["max_pixels"], resize))

    print(HEADING)
    files = {file.name for file in image_files(PROJECT_ROOT / "imgs")}
    measured = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other_process:
        for name, encoded in samples():
            ways = [partial(ours, encoded, resize) for resize in (None, settings["resize"])]
            turns = []
            for _ in range(TURNS):
                theirs = other_process.submit(torchvision_ms, settings, encoded).result()
                turns.append((theirs, *map(cpu_ms, ways)))
            times_ms = [statistics.median(column) for column in zip(*turns, strict=True)]
            inputs = torch.stack([by_torchvision(settings, encoded), ways[1]()])
            with torch.inference_mode():
                answers = torch.softmax(network(inputs), dim=1)
            difference = (answers[0] - answers[1]).abs().max().item()
            print(row(name, times_ms, difference), flush=True)
            if name in files:
                measured.append((*times_ms, difference))
    *means, _ = (statistics.mean(column) for column in zip(*measured, strict=True))
    print(row(MEAN, means, max(difference for *_, difference in measured)))


if __name__ == "__main__":
    main()
