"""`stress.py` against a gateway: reports, Ctrl-C, wrong answers, comparison."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.commands import command
from tests.fake_torchserve import FakeTorchServe
from tests.running_stack import run
from tests.served_gateway import served_gateway
from tests.shown_blocks import assert_same_words, shown_block
from torchserve_gateway.commands import stress
from torchserve_gateway.load_test.report import read_report
from torchserve_gateway.settings.composition import PROJECT_ROOT, load
from torchserve_gateway.settings.load_test import StressSettings


@pytest.fixture
def port() -> Iterator[str]:
    torchserve = FakeTorchServe(httpx.Response(200, json={"Horror": 0.9, "Crime": 0.1}))
    with served_gateway(torchserve) as server:
        yield f"gateway.port={server.config.port}"


@pytest.mark.slow
def test_reports_are_written_and_compared(port: str, tmp_path: Path) -> None:
    file, page = tmp_path / "a.json", tmp_path / "a.html"
    written = (f"report_json={file}", f"report_html={page}")
    result = run("stress.py", port, "clients=2", "steps=[20,40]", "round_s=0.5", *written)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count(" Performance: ") == 2
    assert "Load generator: " in result.stderr
    printed = result.stderr.replace("by version unknown", "by version 1.0")
    assert_same_words(printed, shown_block("docs/batching.md", "$ make run_stress"))
    report = read_report(file)
    assert (report.answered, report.errors) == (30, {})
    assert page.read_text().startswith("<!doctype html>")
    compared = command("stress", "compare", str(file), str(file))
    assert compared.exit_code == 0, compared.stderr
    assert "right answers/s" in compared.stdout
    refused = run("stress.py", "compare", str(file), str(page))
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert str(page) in line
    assert command("stress", "compare", str(file)).exit_code == 2


def test_a_busy_generator_is_said_to_be_doubtful(
    port: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stress, "DOUBTFUL_CPU_PERCENT", 0)
    settings = load("stress", StressSettings, [port, "clients=1", "rounds=1", "round_s=0.2"])
    assert stress.stress(settings) == 0
    assert "too busy" in caplog.text


@pytest.mark.slow
def test_ctrl_c_still_writes_the_report(port: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    arguments = [sys.executable, "stress.py", port, "clients=2", "rate=20", "rounds=1000", "round_s=0.5"]
    with subprocess.Popen(
        [*arguments, f"report_json={file}"], cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(" Performance: " in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert json.loads(file.read_text())["answered"] > 0


@pytest.mark.slow
def test_log_lines_are_whole_above_the_progress_bar(port: str) -> None:
    terminal, theirs = os.openpty()
    arguments = [sys.executable, "stress.py", port, "clients=2", "rate=20", "rounds=3", "round_s=0.5"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(arguments, cwd=PROJECT_ROOT, stderr=theirs, env=environment):
        os.close(theirs)
        shown = all_of(terminal).decode()
    assert "━" in shown
    # What a line shows in the end is behind its last erasure.
    lines = [line.rsplit("\x1b[2K", 1)[-1] for line in shown.split("\r\n")]
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in lines]
    performance = [line for line in lines if "Performance: " in line]
    assert len(performance) == 3
    for line in performance:
        assert re.fullmatch(r"[\d:]+ INFO Performance: [^━]+", line), line


def all_of(terminal: int) -> bytes:
    """Everything that is written to a pseudoterminal, whose last writer's end is EIO."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65536):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts)
