"""JPEG decoding and preprocessing by the handler on the CPU, and in batches on a device."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch

from tools.bench.peers.machine import CORES
from tools.bench.peers.workload import IMAGES
from ts_serialize.gpu_decoding import GpuDecoding
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform
from ts_serialize.preprocessing import decoded_for

BATCH = 32
TURNS = 15
WARM_UPS = 2
ALONE = "on the CPU, 1 thread"

Prepare = Callable[[Sequence[bytes]], torch.Tensor]


def by_handler(settings: dict[str, Any], device: torch.device, threads: int = CORES) -> Prepare:
    """The handler's way: decoded and prepared on the CPU, then moved to the device."""
    transform, resize = image_transform(settings), decoded_for(settings)
    each = map if threads == 1 else ThreadPoolExecutor(threads).map

    def prepared(encoded: bytes) -> torch.Tensor:
        return transform(decode_image(encoded, settings["max_pixels"], resize))

    return lambda encoded: torch.stack(list(each(prepared, encoded))).to(device)


def on_device(settings: dict[str, Any], device: torch.device) -> Prepare:
    """With `gpu_decoding`: a batch decoded and prepared on the device."""
    decoding = GpuDecoding(settings, device)

    def refused(_row: object) -> torch.Tensor:
        raise NotImplementedError("all images of the bench are plain JPEGs")

    def prepare(encoded: Sequence[bytes]) -> torch.Tensor:
        inputs, _ = decoding.decode_rows([{"body": each} for each in encoded], refused, map)
        return torch.stack(list(inputs.values()))

    return prepare


def decoding_lines(settings: dict[str, Any], device: torch.device) -> Iterator[str]:
    """The handler's decoding on the CPU beside that on the device."""
    encoded = _batch([image.read_bytes() for image in IMAGES], BATCH)
    ways = {
        ALONE: by_handler(settings, device, threads=1),
        f"on the CPU, {CORES} threads": by_handler(settings, device),
        "gpu_decoding": on_device(settings, device),
    }
    times_s = {name: _seconds(partial(prepare, encoded), device) for name, prepare in ways.items()}
    ours, theirs = (ways[name](encoded) for name in (ALONE, "gpu_decoding"))
    return decoding_table(times_s, (ours - theirs).abs().max().item())


def decoding_table(times_s: Mapping[str, tuple[float, float]], difference: float) -> Iterator[str]:
    """The table; times_s: of a batch by the clock, and of CPU time, by row."""
    yield f"{f'batches of {BATCH} JPEGs of imgs/':<40}{'ms/image':>9}{'CPU ms':>9}"
    for name, (passed_s, cpu_s) in times_s.items():
        yield f"{name:<40}{passed_s / BATCH * 1000:>9.2f}{cpu_s / BATCH * 1000:>9.2f}"
    yield f"largest difference of a value of the network's input: {difference:.3f}"


def images_s(
    prepare: Prepare,
    network: Callable[[torch.Tensor], torch.Tensor],
    images: Sequence[bytes],
    batch_size: int,
    device: torch.device,
) -> float:
    """Images a second of decoding and network in this process, a batch after the other."""
    encoded = _batch(images, batch_size)
    with torch.inference_mode():
        passed_s, _ = _seconds(lambda: network(prepare(encoded)), device)
    return batch_size / passed_s


def _batch(images: Sequence[bytes], size: int) -> Sequence[bytes]:
    return list(islice(cycle(images), size))


def _seconds(run: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds by the clock, and of CPU time in all threads; medians."""
    turns: list[tuple[float, float]] = []
    for _ in range(WARM_UPS + TURNS):
        start, cpu_start = perf_counter(), process_time()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        turns.append((perf_counter() - start, process_time() - cpu_start))
    passed, cpu = (median(seconds) for seconds in zip(*turns[WARM_UPS:], strict=True))
    return passed, cpu
