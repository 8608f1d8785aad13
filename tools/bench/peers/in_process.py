"""The work on an image that no server can save: decoding, preprocessing and the network of our handler."""

import multiprocessing
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from time import process_time
from typing import Any

import torch
from PIL import Image

from tools.bench.peers.workload import IMAGES, Workload
from ts_serialize.allocator import keep_freed_memory
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform
from ts_serialize.optimized_torchscript import optimized
from ts_serialize.torchscript import load_torchscript

TURNS = 7
MAX_PIXELS = 50_000_000
BATCHES = 4


class InProcess:
    """The work in a loop, by as many processes at once as the servers have workers."""

    def __init__(self, workload: Workload, cleanup: ExitStack) -> None:
        self._settings = workload.settings
        self._workers: int = self._settings["workers"]
        processes = ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"))
        self._processes = cleanup.enter_context(processes)
        self.rounds_ms: list[float] = []
        """CPU milliseconds of an image, by round."""

    def play(self) -> None:
        """Measures a round."""
        measured = self._processes.map(cpu_ms, [self._settings] * self._workers)
        self.rounds_ms.append(statistics.mean(measured))


def cpu_ms(settings: dict[str, Any]) -> float:
    """CPU milliseconds of an image in batches, with one thread; changes this process's allocator."""
    keep_freed_memory()
    torch.set_num_threads(1)
    transform = image_transform(settings)
    images = list(islice(cycle(image.read_bytes() for image in IMAGES), settings["batch_size"]))
    example = transform(decode_image(images[0], MAX_PIXELS))
    network = optimized(load_torchscript(Path(settings["checkpoint"])), example)
    # TorchScript compiles in the first two runs of a shape.
    times_s = [_seconds(network, transform, images) for _ in range(2 + TURNS)][2:]
    return statistics.median(times_s) / BATCHES / len(images) * 1000


def line(totals_ms: Sequence[float], rounds_ms: Sequence[float]) -> str:
    """Medians, below a table; totals: of our row with the checkpoint as it is."""
    total_ms, in_process_ms = statistics.median(totals_ms), statistics.median(rounds_ms)
    return (
        f"in-process, torchscript fp32: {in_process_ms:.1f} ms CPU an image; "
        f"gateway, TorchServe and its worker add {total_ms - in_process_ms:.1f} ms"
    )


@torch.inference_mode()
def _seconds(
    network: torch.nn.Module, transform: Callable[[Image.Image], torch.Tensor], images: Sequence[bytes]
) -> float:
    begin = process_time()
    for _ in range(BATCHES):
        inputs = [transform(decode_image(image, MAX_PIXELS)) for image in images]
        torch.softmax(network(torch.stack(inputs)), dim=1).tolist()
    return process_time() - begin
