"""`make bench`: cost of the gateway's check of image headers, and work saved by its limits."""

import asyncio
import contextlib
import functools
import io
import struct
from collections.abc import Callable
from time import perf_counter

from PIL import Image

from torchserve_gateway.load_test.images import image_files
from torchserve_gateway.settings.composition import PROJECT_ROOT
from ts_serialize.image_header import InputError, check_header
from ts_serialize.jpeg_markers import START_OF_SCAN

MAX_PIXELS = 50_000_000
SCAN = bytes((0xFF, START_OF_SCAN))
SIDE = 5000
ROUNDS = 500
EXTRA_SCANS = 50


def seconds(run: Callable[[], object]) -> float:
    """Seconds of one call, successful or not."""
    start = perf_counter()
    with contextlib.suppress(InputError, OSError):
        run()
    return perf_counter() - start


async def in_threads(run: Callable[[], object]) -> float:
    """Seconds of one call in a thread, awaited by an event loop."""
    start = perf_counter()
    for _ in range(ROUNDS):
        await asyncio.to_thread(run)
    return (perf_counter() - start) / ROUNDS


def compare_usual_images() -> None:
    """Prints the cost per request."""
    for file in image_files(PROJECT_ROOT / "imgs"):
        check = functools.partial(check_header, file.read_bytes(), MAX_PIXELS)
        alone = min(seconds(check) for _ in range(ROUNDS))
        threaded = asyncio.run(in_threads(check))
        print(f"header of {file.name:<21} {alone * 1000:7.3f} ms, in a thread {threaded * 1000:7.3f} ms")


def compare_hostile_images() -> None:
    """Prints the time that Pillow alone spends on files that the check refuses."""
    comments = b"\xff\xd8" + b"\xff\xfe\0\x02" * 1_600_000
    bounded = seconds(lambda: check_header(comments, MAX_PIXELS))
    unbounded = seconds(lambda: Image.open(io.BytesIO(comments)))
    print(f"JPEG of empty comments: {bounded * 1000:.0f} ms, without the bound {unbounded * 1000:.0f} ms")
    jpeg, size = progressive_jpeg()
    more = jpeg[:-2] + jpeg[jpeg.rindex(SCAN) : -2] * EXTRA_SCANS + jpeg[-2:]
    plain = seconds(lambda: Image.open(io.BytesIO(jpeg)).load())
    scan = (seconds(lambda: Image.open(io.BytesIO(more)).load()) - plain) / EXTRA_SCANS
    print(f"one more scan of a {SIDE} x {SIDE} JPEG: {size} bytes, {scan * 1000:.0f} ms")
    run_length = seconds(lambda: Image.open(io.BytesIO(run_length_bmp())).load())
    print(f"run-length BMP of as many pixels: {run_length * 1000:.0f} ms, {run_length / scan:.0f} scans")


def progressive_jpeg() -> tuple[bytes, int]:
    """A JPEG, and the size of its last scan in bytes."""
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE)).save(file, "JPEG", progressive=True)
    encoded = file.getvalue()
    return encoded, len(encoded) - 2 - encoded.rindex(SCAN)


def run_length_bmp() -> bytes:
    """A BMP with a single pixel per row; Pillow fills the rest pixel by pixel."""
    rows = b"\x01\0\0\0" * SIDE
    header = struct.pack("<LllHHLLllLL", 40, SIDE, SIDE, 1, 8, 1, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<LHHL", 1078 + len(rows), 0, 0, 1078) + header + bytes(1024) + rows


if __name__ == "__main__":
    compare_usual_images()
    compare_hostile_images()
