"""Lines reach their descriptor in order, many at once; a lost line is counted and keeps nothing waiting."""

import os
import select
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from torchserve_gateway.gateway.telemetry import log_output
from torchserve_gateway.gateway.telemetry.log_output import LogOutput

GIVE_UP_S = 20


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    yield read_end, write_end
    with suppress(OSError):
        os.close(read_end)
    # A thread that still writes would write to whatever gets the descriptor's number next.
    for thread in threading.enumerate():
        if thread.name == "log output":
            thread.join(GIVE_UP_S)
            assert not thread.is_alive()
    os.close(write_end)


def read_all(descriptor: int, size: int) -> bytes:
    read = b""
    while len(read) < size:
        readable, _, _ = select.select([descriptor], [], [], GIVE_UP_S)
        assert readable, f"only {len(read)} bytes came"
        read += os.read(descriptor, 65_536)
    return read


def test_lines_arrive_whole_and_in_order(pipe: tuple[int, int]) -> None:
    lines = [f"line {number}\n" for number in range(1000)]
    output = LogOutput(pipe[1])
    for line in lines:
        output.write(line)
    output.close(timeout_s=60)
    expected = "".join(lines)
    assert read_all(pipe[0], len(expected)).decode() == expected
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
    expected = line * (1000 - lost)
    assert read_all(pipe[0], len(expected)).decode() == expected
    # The reader may be done before the writer knows that there is room.
    give_up = time.monotonic() + GIVE_UP_S
    while True:
        output.write("later\n")
        if output.lost == lost:
            break
        lost = output.lost
        assert time.monotonic() < give_up
    assert read_all(pipe[0], 6) == b"later\n"
    output.close(timeout_s=60)
    assert output.lost == lost


def test_text_that_is_no_unicode_is_written(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    output.write("\udcff\n")
    assert read_all(pipe[0], 7) == rb"\udcff" + b"\n"
    output.close(timeout_s=60)


def test_closing_returns_while_the_reader_stands_still(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    output.write("x" * 1_000_000)
    output.close(timeout_s=0.01)
    output.write("late\n")
    assert output.lost == 1


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is written at once, to any descriptor."""
    written, write = list[bytes](), os.write

    def recorded(descriptor: int, data: bytes) -> int:
        written.append(bytes(data))
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", recorded)
    return written


def until_written(writes: list[bytes], end: bytes) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while not b"".join(writes).endswith(end):
        assert time.monotonic() < give_up
        time.sleep(0.002)


def test_lines_of_a_moment_are_written_together(
    pipe: tuple[int, int], writes: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A moment that ends when the test says so.
    ends, waits = threading.Event(), threading.Event()

    def sleep(_: float) -> None:
        waits.set()
        ends.wait(GIVE_UP_S)

    monkeypatch.setattr("torchserve_gateway.gateway.telemetry.log_output.time.sleep", sleep)
    output = LogOutput(pipe[1])
    output.write("first\n")
    assert waits.wait(GIVE_UP_S)
    for number in range(100):
        output.write(f"{number}\n")
    assert writes == []
    ends.set()
    output.close(GIVE_UP_S)
    assert b"".join(writes).decode() == "first\n" + "".join(f"{number}\n" for number in range(100))
    assert len(writes) == 1


def test_a_line_is_written_without_another_line_or_a_close(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    for number in range(5):
        output.write(f"{number}\n")
        assert read_all(pipe[0], 2) == b"%d\n" % number
    output.close(GIVE_UP_S)


def test_lines_between_the_moments_come_as_well(pipe: tuple[int, int], writes: list[bytes]) -> None:
    output = LogOutput(pipe[1])
    for number in range(30):
        output.write(f"{number}\n")
        time.sleep(log_output.COLLECTED_S / 7)
    until_written(writes, b"29\n")
    assert b"".join(writes).decode() == "".join(f"{number}\n" for number in range(30))
    output.close(GIVE_UP_S)


def test_closing_writes_all_that_waits_at_once(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for count in (0, 1, 500):
        output = LogOutput(pipe[1])
        for number in range(count):
            output.write(f"{number}\n")
        output.close(GIVE_UP_S)
        expected = "".join(f"{number}\n" for number in range(count)).encode()
        assert read_all(pipe[0], len(expected)) == expected
        assert output.lost == 0
        output.write("late\n")
        assert output.lost == 1


def test_lines_of_many_threads_are_whole_and_in_the_order_of_each(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])

    def write(name: int) -> None:
        for number in range(200):
            output.write(f"{name} {number}\n")

    threads = [threading.Thread(target=write, args=(name,)) for name in range(5)]
    read = list[bytes]()
    size = sum(len(f"{name} {number}\n") for name in range(5) for number in range(200))
    reader = threading.Thread(target=lambda: read.append(read_all(pipe[0], size)))
    for thread in (*threads, reader):
        thread.start()
    for thread in (*threads, reader):
        thread.join(GIVE_UP_S)
    output.close(GIVE_UP_S)
    pairs = [line.split() for line in read[0].decode().splitlines()]
    assert len(pairs) == 1000
    for name in range(5):
        assert [number for each, number in pairs if each == str(name)] == [str(each) for each in range(200)]
    assert output.lost == 0


def test_every_line_of_a_failed_write_is_lost_and_later_lines_come(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    fails, write = [True], os.write

    def sometimes(descriptor: int, data: bytes) -> int:
        if fails[0]:
            raise OSError("disk full")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", sometimes)
    output = LogOutput(pipe[1], max_waiting=10_000)
    for _ in range(7):
        output.write("lost\n")
    give_up = time.monotonic() + GIVE_UP_S
    while output.lost < 7:
        assert time.monotonic() < give_up
        time.sleep(0.002)
    fails[0] = False
    # What was lost waits no more, so that this fits.
    output.write("x" * 9_999 + "\n")
    output.close(GIVE_UP_S)
    assert read_all(pipe[0], 10_000) == b"x" * 9_999 + b"\n"
    assert output.lost == 7


def test_a_line_that_does_not_fit_is_lost_alone(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1], max_waiting=10)
    output.write("a line of more than ten characters\n")
    output.write("short\n")
    output.close(GIVE_UP_S)
    assert read_all(pipe[0], 6) == b"short\n"
    assert output.lost == 1


def test_writing_answers_with_the_length_as_streams_do(pipe: tuple[int, int]) -> None:
    output = LogOutput(pipe[1])
    assert output.write("ü\n") == 2
    output.flush()
    output.close(GIVE_UP_S)
    assert read_all(pipe[0], 3) == "ü\n".encode()
