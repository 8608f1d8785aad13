"""Prints three tables: networks on the GPU, JPEG decoding on both sides, and the whole stack.

Exit codes: 0 every request was answered right; 1 there is no GPU, at least one request was not, or the stack
did not start.
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
import torchvision

from tools.bench.gpu.decoding import by_handler, ms_per_image, on_device
from tools.bench.gpu.networks import TURNS, Way, Ways, measured
from tools.bench.gpu.served import Served, served
from tools.bench.peers.machine import described
from tools.bench.peers.workload import IMAGES
from tools.throwaway_stack import StackCommandError
from torchserve_gateway.load_test.sender import NoAnswerError
from torchserve_gateway.settings.composition import as_override, load
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.torchscript import without_deprecation

NETWORK = "ResNet-50, 224 x 224, random weights"
RESIZE, EDGE = 256, 224
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SERVED_BATCH = 32
WORKERS = (1, 2, 4)
# Rows of the stack, by the row of the network alone.
CHOICES = {
    "torchscript fp32": (),
    "torchscript fp16": ("model.precision=fp16",),
    "torchscript fp16, CUDA graphs": ("model.precision=fp16", "model.cuda_graphs=true"),
}


def network() -> torch.nn.Module:
    """The network, for the demo's classes."""
    torch.manual_seed(0)
    classes = len(load("gateway", ProjectSettings).model.labels)
    made: torch.nn.Module = torchvision.models.resnet50(num_classes=classes).eval()
    return made


def ways(
    network: torch.nn.Module, edge: int, largest: int, device: torch.device, folder: Path
) -> Iterator[Way]:
    """Prepares the network in all ways; a line says why one has no row."""
    made = Ways(network, torch.randn(3, edge, edge), largest, device, folder)
    for name, prepare in made.all().items():
        try:
            way = Way(name, prepare())
            with torch.inference_mode():
                way.run(torch.randn(largest, 3, edge, edge, device=device))
        # Compilers raise anything.
        except Exception as exc:  # noqa: BLE001
            said = str(exc).strip() or type(exc).__name__
            print(f"no row {name}: {said.splitlines()[0]}", flush=True)
        else:
            yield way


def network_lines(found: Sequence[Way], sizes: Sequence[int]) -> Iterator[str]:
    """The table of networks: images a second by batch size."""
    yield f"{'images/s in batches of':<32}" + "".join(f"{size:>9}" for size in sizes) + f"{'max |Δp|':>10}"
    for way in found:
        rates = "".join(f"{way.images_s(size):>9.0f}" for size in sizes)
        yield f"{way.name:<32}{rates}{way.max_difference:>10.4f}"


def decoding_lines(settings: dict[str, Any], device: torch.device) -> Iterator[str]:
    """The handler's decoding beside that of the device, in milliseconds an image."""
    encoded = [image.read_bytes() for image in IMAGES]
    ours, theirs = by_handler(settings, device), on_device(settings, device)
    yield f"one thread, the {len(encoded)} JPEGs of imgs/ as a batch, ms an image"
    for name, prepare in (("by the handler", ours), (f"on the device, {device.type}", theirs)):
        yield f"{name:<32}{ms_per_image(prepare, encoded, device):>9.2f}"
    difference = (ours(encoded) - theirs(encoded)).abs().max().item()
    yield f"largest difference of a value of the network's input: {difference:.3f}"


def served_line(name: str, workers: int, found: Served, alone_images_s: float) -> str:
    """A row of the table of the stack."""
    busy = "-" if found.utilisation is None else f"{found.utilisation:.0%}"
    p99 = found.tally.latencies.percentile_ms(99)
    return (
        f"{name:<32}{workers:>9}{found.clients:>9}{found.images_s:>10.0f}{p99:>9.0f}{busy:>9}"
        f"{found.usage.client_share:>9.0%}{found.images_s / alone_images_s:>9.2f}"
    )


def served_heading() -> str:
    """The head of the table of the stack."""
    columns = (("workers", 9), ("clients", 9), ("images/s", 10), ("p99 ms", 9), ("GPU", 9), ("load", 9))
    return f"{'':<32}" + "".join(f"{name:>{width}}" for name, width in columns) + f"{'/ alone':>9}"


def stack_lines(file: Path, found: Iterable[Way], failed: list[str]) -> Iterator[str]:
    """Rows of the stack; adds failures to `failed`."""
    alone = {way.name: way.images_s(SERVED_BATCH) for way in found}
    mine = (
        as_override("model.weights.path", file),
        f"model.image.resize={RESIZE}",
        f"model.image.crop={EDGE}",
    )
    images = [image.read_bytes() for image in IMAGES]
    yield served_heading()
    for name, workers in product((name for name in CHOICES if name in alone), WORKERS):
        row = served((*mine, *CHOICES[name]), SERVED_BATCH, workers, images)
        failed += [f"{name}, {workers} workers: {count} x {kind}" for kind, count in row.tally.errors.items()]
        yield served_line(name, workers, row, alone[name])


def main() -> int:
    """Runs the measurement and returns the exit code."""
    if not torch.cuda.is_available():
        print(f"there is no GPU that torch {torch.__version__} can use", file=sys.stderr)
        return 1
    device, failed = torch.device("cuda:0"), list[str]()
    print(f"{torch.cuda.get_device_name(device)}; {described()}; torch {torch.__version__}")
    print(f"{NETWORK}, medians of {TURNS} turns", flush=True)
    settings = load("gateway", ProjectSettings).model.preprocessing.model_dump()
    settings |= {"resize": RESIZE, "crop": EDGE}
    with tempfile.TemporaryDirectory() as directory:
        with without_deprecation():
            prepared = list(ways(network(), EDGE, max(SIZES), device, Path(directory)))
            found = list(measured(prepared, torch.zeros(3, EDGE, EDGE), SIZES, device))
        print("\n".join((*network_lines(found, SIZES), *decoding_lines(settings, device))), flush=True)
        try:
            for line in stack_lines(Path(directory) / "network.pt", found, failed):
                print(line, flush=True)
        except (StackCommandError, NoAnswerError) as exc:
            print(f"stopped: {exc}", file=sys.stderr)
            return 1
    print("failed: " + (", ".join(failed) or "none"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
