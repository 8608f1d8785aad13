"""`make bench_engine`: every engine and precision of this machine, on the demo checkpoint and on ResNet-18.

CPU time on one thread, as a worker has; the engines take turns, so that a busy machine slows all of them
alike. ResNet-18 has random weights: its differences say nothing about accuracy.
"""

import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import process_time

import torch
import torchvision
from rich.console import Console
from rich.table import Table

from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.model import ImageSettings, ModelSettings
from torchserve_gateway.settings.project import ProjectSettings
from ts_serialize.archive import expectation
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.gate import compared
from ts_serialize.conversion.network_files import PACKAGES, converted
from ts_serialize.engine_choice import PRECISIONS, keeps_checkpoint
from ts_serialize.torchscript import load_torchscript, without_deprecation

ROUNDS = 9
# CPU seconds that a turn measures at least.
TURN_S = 0.05
BATCH_SIZES = (1, 8)
AS_SAVED = "as saved"
COLUMNS = ("", "batch", "CPU ms/image", "images/s a core", "ratio", "max |Δp|", "same class", "load s", "MB")
WIDTH = 110


@dataclass
class Candidate:
    """A network on an engine."""

    name: str
    """Engine and precision."""
    network: torch.nn.Module
    """Runs batches of any size."""
    load_s: float
    """CPU seconds from the files to the first answers to each batch size."""
    megabytes: float
    """Size of the files."""
    max_difference: float
    """Largest difference of a probability from the original."""
    agreement: float
    """Share of the images with the same class on top."""
    cpu_ms: dict[int, list[float]] = field(default_factory=lambda: {size: [] for size in BATCH_SIZES})
    """CPU milliseconds an image by batch size, a value a round."""


def compare(title: str, model: ModelSettings) -> None:
    """Prints the table of a model, a line per engine, precision and batch size."""
    shape = expectation(model).shape
    batches = {size: torch.randn(size, 3, *shape) for size in BATCH_SIZES}
    candidates, refused = [], []
    for engine, precision in [(None, ""), *((e, p) for e, each in PRECISIONS.items() for p in each)]:
        try:
            candidates.append(candidate(model, engine, precision, batches))
        except ConversionError as exc:
            refused.append(f"not here: {engine} {precision}: {exc}")
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for each in candidates:
                for size, batch in batches.items():
                    each.cpu_ms[size].append(turn_s(each.network, batch) / size * 1000)
    print_table(title, candidates)
    print("\n".join(refused))


def candidate(
    model: ModelSettings, engine: str | None, precision: str, batches: dict[int, torch.Tensor]
) -> Candidate:
    """Prepares a network; engine None: the checkpoint without the handler's optimization.

    Raises:
        ConversionError: this machine lacks the engine or the precision.
    """
    original = load_torchscript(model.weights.path)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        reload: Callable[[], torch.nn.Module]
        if engine is None:
            reload, files = lambda: load_torchscript(model.weights.path), [model.weights.path]
        elif keeps_checkpoint(engine, precision):
            reload, files = lambda: optimized(model.weights.path), [model.weights.path]
        else:
            chosen = model.model_copy(update={"engine": engine, "precision": precision})
            kind = type(converted(chosen, original, expectation(model), folder))
            reload, files = (
                lambda: kind(folder),
                [file for file in folder.iterdir() if file.suffix != ".json"],
            )
        start = process_time()
        with torch.inference_mode():
            network = reload()
            for _ in range(2):
                for batch in batches.values():
                    network(batch)
        load_s = process_time() - start
        comparison = compared(original, network, model)
        return Candidate(
            f"{engine} {precision}" if engine else AS_SAVED,
            network,
            load_s,
            sum(file.stat().st_size for file in files) / 1e6,
            comparison.max_difference,
            comparison.agreement,
        )


def optimized(checkpoint: Path) -> torch.nn.Module:
    """The checkpoint as the handler serves it."""
    with without_deprecation():
        network: torch.nn.Module = torch.jit.optimize_for_inference(load_torchscript(checkpoint))
    return network


def turn_s(network: torch.nn.Module, batch: torch.Tensor) -> float:
    """CPU seconds of a call, averaged over a turn; the first call brings the network into the caches."""
    network(batch)
    start, calls, passed = process_time(), 0, 0.0
    while passed < TURN_S:
        network(batch)
        calls, passed = calls + 1, process_time() - start
    return passed / calls


def print_table(title: str, candidates: list[Candidate]) -> None:
    """Prints medians; ratio: to the default, torchscript fp32, at the same batch size."""
    default = next(each for each in candidates if each.name == "torchscript fp32")
    table = Table(*COLUMNS, box=None, title=title)
    for each in candidates:
        for size in BATCH_SIZES:
            ms = median(each.cpu_ms[size])
            first = size == BATCH_SIZES[0]
            rest = (
                f"{each.max_difference:.5f}",
                f"{each.agreement:.1%}",
                f"{each.load_s:.2f}",
                f"{each.megabytes:.1f}",
            )
            table.add_row(
                each.name if first else "",
                *(str(size), f"{ms:.2f}", f"{1000 / ms:.0f}"),
                f"{median(default.cpu_ms[size]) / ms:.2f}",
                *(rest if first else ()),
            )
    Console(width=WIDTH).print(table)


def resnet18(model: ModelSettings, directory: Path) -> ModelSettings:
    """Settings of torchvision's ResNet-18 with random weights, saved to the directory."""
    torch.manual_seed(0)
    checkpoint = directory / "resnet18.pt"
    with without_deprecation():
        network = torchvision.models.resnet18().eval()
        torch.jit.save(torch.jit.trace(network, torch.zeros(2, 3, 224, 224)), checkpoint)  # type: ignore[no-untyped-call]
    image = model.image.model_dump() | {"resize": 256, "crop": 224}
    samples = [sample.model_copy(update={"expected_class": None}) for sample in model.samples]
    return model.model_copy(
        update={
            "weights": model.weights.model_copy(update={"path": checkpoint}),
            "labels": [str(index) for index in range(1000)],
            "image": ImageSettings.model_validate(image),
            "samples": samples,
        }
    )


def versions() -> str:
    """Installed versions of the engines."""
    found = []
    for package in (*PACKAGES.values(), "nncf"):
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def main() -> None:
    """Prints both tables."""
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.ERROR)
    capabilities = torch.cpu.get_capabilities()
    print(f"{capabilities['cpu_name']}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {versions()}")
    print(f"CPU time on one thread, medians of {ROUNDS} rounds in turn")
    model = load("gateway", ProjectSettings).model
    compare("demo checkpoint, 192 x 128", model)
    with tempfile.TemporaryDirectory() as directory:
        compare("ResNet-18, 224 x 224, random weights", resnet18(model, Path(directory)))


if __name__ == "__main__":
    main()
