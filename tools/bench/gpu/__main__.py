"""Prints tables: a network on the GPU, also by other compilers, JPEG decoding, and the whole stack.

`python -m tools.bench.gpu networks`, `compilers`, `decoding` or `served`: that table alone.

Exit codes: 0 every request was answered right; 1 there is no GPU, at least one request was not, or the stack
did not start; 2 there is no such table.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision

from tools.bench.gpu.decoding import by_handler, decoding_lines, images_s, on_device
from tools.bench.gpu.networks import TURNS, Preparations, Ways, measured, network_lines
from tools.bench.gpu.served import served, served_heading, served_line
from tools.bench.peers.machine import described
from tools.bench.peers.workload import IMAGES
from tools.throwaway_stack import StackCommandError
from torchserve_gateway.load_test.sender import NoAnswerError
from torchserve_gateway.settings.composition import as_override, load
from torchserve_gateway.settings.project import ProjectSettings

NETWORK = "ResNet-50, 224 x 224, random weights"
RESIZE, EDGE = 256, 224
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SERVED_BATCH = 32
FP32, FP16, RECORDED = "torchscript fp32", "torchscript fp16", "torchscript fp16, CUDA graphs"
ON_GPU = "model.image.gpu_decoding=true"
# Settings of the stack, by the row of the network alone.
CHOICES = {
    FP32: (),
    FP16: ("model.precision=fp16",),
    RECORDED: ("model.precision=fp16", "model.cuda_graphs=true"),
}


@dataclass(frozen=True)
class Choice:
    """A stack to measure."""

    network: str
    """Key of CHOICES."""
    gpu_decoding: bool
    """Whether workers decode on the GPU."""
    workers: Sequence[int]
    """Numbers of workers."""

    @property
    def name(self) -> str:
        """The name of the row."""
        return self.network + (", gpu_decoding" if self.gpu_decoding else "")


SERVED = (
    Choice(FP16, gpu_decoding=True, workers=(4, 8, 16)),
    Choice(FP16, gpu_decoding=False, workers=(8,)),
    Choice(FP32, gpu_decoding=True, workers=(8,)),
    Choice(RECORDED, gpu_decoding=True, workers=(8,)),
    Choice(FP32, gpu_decoding=False, workers=(8,)),
)


class WrongAnswersError(Exception):
    """Requests failed; the message counts them."""


def heading(gpu: str) -> str:
    """The line above all tables."""
    return f"{gpu}; {described()}; torch {torch.__version__}; {NETWORK}"


def networks(device: torch.device, folder: Path) -> Iterator[str]:
    """The network alone in every way that a worker can run it."""
    ways = _ways(max(SIZES), device, folder)
    return _network_lines(ways, ways.served(), device)


def compilers(device: torch.device, folder: Path) -> Iterator[str]:
    """The network alone by torch.compile and AOTInductor."""
    ways = _ways(max(SIZES), device, folder)
    return _network_lines(ways, ways.compiled(), device)


def decoding(device: torch.device, _folder: Path) -> Iterator[str]:
    """JPEGs prepared by the CPU and on the device."""
    yield from decoding_lines(_preprocessing(), device)


def stack(device: torch.device, folder: Path) -> Iterator[str]:
    """The network behind gateway and TorchServe.

    Raises:
        WrongAnswersError: requests failed, or got another answer than without load.
        StackCommandError, NoAnswerError: the stack does not start, or gives no reference answer.
    """
    ways = _ways(SERVED_BATCH, device, folder)
    prepared = list(ways.prepared({name: ways.served()[name] for name in CHOICES}))
    found = list(measured(prepared, ways.reference(), _example(), (SERVED_BATCH,), device))
    yield from network_lines(found, (SERVED_BATCH,))
    networks = {way.name: way for way in found}
    mine = (
        as_override("model.weights.path", ways.traced),
        f"model.image.resize={RESIZE}",
        f"model.image.crop={EDGE}",
    )
    images, failed = [image.read_bytes() for image in IMAGES], list[str]()
    preprocessing = _preprocessing()
    yield served_heading()
    for choice in (each for each in SERVED if each.network in networks):
        network = networks[choice.network]
        prepare = (on_device if choice.gpu_decoding else by_handler)(preprocessing, device)
        in_process = images_s(prepare, network.run, images, SERVED_BATCH, device)
        decoding = (ON_GPU,) if choice.gpu_decoding else ()
        for row in served((*mine, *CHOICES[choice.network], *decoding), SERVED_BATCH, choice.workers, images):
            failed += [f"{choice.name}: {count} x {kind}" for kind, count in row.answers.errors.items()]
            yield served_line(choice.name, row, network.images_s(SERVED_BATCH), in_process)
    if failed:
        raise WrongAnswersError("failed: " + ", ".join(failed))


PARTS: dict[str, Callable[[torch.device, Path], Iterator[str]]] = {
    "networks": networks,
    "compilers": compilers,
    "decoding": decoding,
    "served": stack,
}


def main(parts: Sequence[str]) -> int:
    """Runs the measurement and returns the exit code."""
    if unknown := [each for each in parts if each not in PARTS]:
        print(f"there is no table {unknown[0]!r}; tables: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    if not torch.cuda.is_available():
        print(f"there is no GPU that torch {torch.__version__} can use", file=sys.stderr)
        return 1
    device = torch.device("cuda:0")
    # As in a worker.
    torch.set_num_threads(1)
    print(heading(torch.cuda.get_device_name(device)))
    with tempfile.TemporaryDirectory() as directory:
        try:
            for part in parts or PARTS:
                print(flush=True)
                for line in PARTS[part](device, Path(directory)):
                    print(line, flush=True)
        except (StackCommandError, NoAnswerError, WrongAnswersError) as exc:
            print(f"stopped: {exc}", file=sys.stderr)
            return 1
    return 0


def _network_lines(ways: Ways, preparations: Preparations, device: torch.device) -> Iterator[str]:
    prepared = list(ways.prepared(preparations))
    found = list(measured(prepared, ways.reference(), _example(), SIZES, device))
    yield f"medians of {TURNS} turns"
    yield from network_lines(found, SIZES)


def _preprocessing() -> dict[str, Any]:
    found = load("gateway", ProjectSettings).model.preprocessing.model_dump()
    return found | {"resize": RESIZE, "crop": EDGE}


def _ways(largest: int, device: torch.device, folder: Path) -> Ways:
    torch.manual_seed(0)
    classes = len(load("gateway", ProjectSettings).model.labels)
    network = torchvision.models.resnet50(num_classes=classes).eval()
    return Ways(network, _example(), largest, device, folder)


def _example() -> torch.Tensor:
    return torch.randn(3, EDGE, EDGE, generator=torch.Generator().manual_seed(0))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
