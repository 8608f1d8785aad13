"""Commands show the same words alike: coloured on a terminal, plain in a pipe and with NO_COLOR."""

import contextlib
import os
import re
import subprocess
import sys
from threading import Event

import pytest
from rich.text import Text

from tests.processes import until
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.terminal import waits
from torchserve_gateway.terminal.words import share_cell, state_cell, style_of

PROGRAM = """
import logging, time
from torchserve_gateway.settings.command import log_to_stderr
from torchserve_gateway.terminal import waits
from torchserve_gateway.terminal.output import print_line, print_table
from torchserve_gateway.terminal.words import state_cell

waits.SAID_AFTER_S = 0
log_to_stderr()
print_table(("model", "state"), [("pets", state_cell("serving"))])
with waits.waiting("genre 2.0", "1 of 2 workers READY", limit_s=120):
    time.sleep(0.5)
    logging.warning("a line [of a log]")
    time.sleep(0.5)
print_line("pets 2.0 serves")
"""


def on_terminal(**environment: str) -> str:
    """Everything that the program shows on a pseudoterminal."""
    terminal, theirs = os.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT_ROOT,
        stdout=theirs,
        stderr=theirs,
        env=inherited | {"TERM": "xterm", "COLUMNS": "100"} | environment,
    ):
        os.close(theirs)
        parts = []
        with contextlib.suppress(OSError):
            while part := os.read(terminal, 65536):
                parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


@pytest.mark.slow
def test_on_a_terminal_states_have_colours_and_a_wait_does_not_tear_log_lines() -> None:
    shown = on_terminal()
    assert "\x1b[32mserving\x1b[0m" in shown
    assert "pets 2.0 \x1b[32mserves\x1b[0m" in shown
    assert re.search(r"\S waiting for genre 2\.0: 1 of 2 workers READY \(\d of 120 s\)", shown)
    [line] = [each for each in shown.split("\r\n") if "a line [of a log]" in each]
    # What the line shows is behind its last erasure.
    assert re.fullmatch(r"\x1b\[33m[\d:]+ WARNING a line \[of a log\]\x1b\[0m", line.rsplit("\x1b[2K", 1)[-1])
    assert shown.rstrip().endswith("serves\x1b[0m")


@pytest.mark.slow
def test_no_color_is_respected() -> None:
    shown = on_terminal(NO_COLOR="1")
    assert "pets 2.0 serves" in shown
    assert not re.search(r"\x1b\[3\dm", shown)


@pytest.mark.slow
def test_in_a_pipe_there_are_plain_lines() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == " model  state   \n pets   serving \npets 2.0 serves\n"
    waited, warned, *_ = done.stderr.splitlines()
    assert_same_words(waited, shown_block("docs/command-line.md", "10:02:11 INFO waiting for "))
    assert re.fullmatch(r"[\d:]+ WARNING a line \[of a log\]", warned)


def test_a_wait_is_shown_with_its_newest_state_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, ended = list[str](), Event()

    def display(wait: waits.Wait, event: Event) -> None:
        until(lambda: wait.state)
        shown.append(wait.line)
        event.wait()
        ended.set()

    monkeypatch.setattr(waits, "SAID_AFTER_S", 0)
    waits.show_with(display)
    try:
        with waits.waiting("the gateways") as wait:
            wait.state = "1 of 2"
            until(lambda: shown)
            assert not ended.is_set()
        assert ended.is_set()
    finally:
        waits.show_with(waits.in_lines)
    assert re.fullmatch(r"waiting for the gateways: 1 of 2 \(\d+ s\)", shown[0])


def test_a_short_wait_is_not_shown(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "SAID_AFTER_S", 600)
    with waits.waiting("the gateways"):
        pass
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("state", "style"),
    [
        ("serving", "green"),
        ("READY", "green"),
        ("RUNNING", "green"),
        ("canary 25 %", "yellow"),
        ("UNLOADING", "yellow"),
        ("FATAL", "red"),
        ("kept", "dim"),
        ("-", ""),
    ],
)
def test_a_state_has_one_colour(state: str, style: str) -> None:
    assert style_of(state) == style
    assert state_cell(state) == Text(state, style)


@pytest.mark.parametrize(
    ("text", "style"),
    [("2/2 READY", "green"), ("1/2", "yellow"), ("0/2 READY", "red"), ("0/0 READY", ""), ("-", "")],
)
def test_workers_are_coloured_by_how_many_are_ready(text: str, style: str) -> None:
    assert share_cell(text) == Text(text, style)
