"""Lines reach their descriptor in order; one that cannot be written is counted and keeps nothing waiting."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from torchserve_gateway.gateway.telemetry.log_output import LogOutput


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def read_until(descriptor: int, end: bytes) -> bytes:
    """All that comes up to `end`."""
    read = b""
    while not read.endswith(end):
        read += os.read(descriptor, 65_536)
    return read


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    lines = [f"line {number}\n" for number in range(1000)]
    output = LogOutput(pipe[1])
    for line in lines:
        output.write(line)
    output.close(timeout_s=60)
    assert read_until(pipe[0], b"line 999\n").decode() == "".join(lines)
    assert output.lost == 0


def test_a_full_disk_costs_lines_and_raises_nothing() -> None:
    with Path("/dev/full").open("wb") as full:
        output = LogOutput(full.fileno())
        for _ in range(10):
            output.write("line\n")
        output.close(timeout_s=60)
    assert output.lost == 10


def test_lines_of_a_broken_pipe_are_counted(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    output = LogOutput(pipe[1])
    output.write("line\n")
    output.close(timeout_s=60)
    assert output.lost == 1


def test_a_reader_that_stands_still_keeps_no_line_waiting_above_the_limit(pipe: tuple[int, int]) -> None:
    line = "x" * 9_999 + "\n"
    output = LogOutput(pipe[1], max_waiting=100_000)
    for _ in range(1000):
        output.write(line)
    lost = output.lost
    assert lost > 900
    # It reads again: what waited comes, and so do later lines.
    kept = os.read(pipe[0], 65_536)
    while len(kept) < (1000 - lost) * len(line):
        kept += os.read(pipe[0], 65_536)
    assert kept.decode() == line * (1000 - lost)
    output.write("later\n")
    assert read_until(pipe[0], b"\n") == b"later\n"
    output.close(timeout_s=60)
    assert output.lost == lost


def test_text_that_is_no_unicode_is_written(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    output.write("\udcff\n")
    assert read_until(pipe[0], b"\n") == rb"\udcff" + b"\n"
    output.close(timeout_s=60)


def test_closing_returns_while_the_reader_stands_still(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    output.write("x" * 1_000_000)
    output.close(timeout_s=0.01)
    output.write("late\n")
    assert output.lost == 1
