"""`make tune` on a real stack: measures, goes on where it ended, writes the best, leaves nothing running."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.processes import until
from tests.running_stack import run
from tests.small_network import small_weights
from torchserve_gateway.settings.composition import PROJECT_ROOT, as_override

pytestmark = [pytest.mark.long, pytest.mark.begins_first]

# Measurements as short as they can be. Whether any keeps the limit depends on what else the machine does.
TINY = (
    "model.calibration_images=null",
    "model.samples=[]",
    "p99_ms=300",
    "requests=20",
    "min_window_s=0.5",
    "max_window_s=6",
    "clients=4",
    "workers=[1]",
    "threads=[1]",
    "model.workers=1",
    "batch_sizes=[4]",
    "max_batch_delays=[0]",
    "trials=2",
    "budget_s=80",
)


def command(directory: Path, *extra: str) -> list[str]:
    here = as_override("tune_dir", directory / "tune")
    return ["-m", "torchserve_gateway", "tune", *TINY, small_weights(directory), here, *extra]


def measured(directory: Path) -> list[dict[str, object]]:
    lines = [line for file in (directory / "tune/genre").glob("*.jsonl") for line in file.open()]
    return [json.loads(line) for line in lines if '"plan"' in line]


def processes_in(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command_line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(directory) in command_line and entry.parent.name != str(os.getpid()):
            found.append(command_line)
    return found


def test_a_search_is_interrupted_goes_on_and_writes_the_best(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, *command(tmp_path)],
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: len(measured(tmp_path)) >= 2 or first.poll() is not None)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=120)
    assert (first.returncode, said.splitlines()[-1]) == (130, "interrupted")
    assert processes_in(tmp_path) == []
    before = measured(tmp_path)
    file = tmp_path / "genre.yaml"
    file.write_text("name: genre\n")

    second = run(*command(tmp_path, as_override("write", file)))
    was_found = "best: " in second.stdout
    assert second.returncode == (0 if was_found else 1), second.stdout + second.stderr
    after = measured(tmp_path)
    assert after[: len(before)] == before
    assert all(
        each["answered" if "answered" in each else "requests"] for each in after if not each["failure"]
    )
    assert ("batch_size" in yaml.safe_load(file.read_text())) == was_found
    assert "This machine gives" in second.stdout
    assert (tmp_path / "tune/genre/report.png").stat().st_size > 1000
    assert "<circle" in (tmp_path / "tune/genre/report.html").read_text()
    assert processes_in(tmp_path) == []

    third = run(*command(tmp_path, "budget_s=1e-9"))
    assert f"{len(after)} measurements in " in third.stdout, third.stderr
    assert measured(tmp_path) == after


def test_combinations_that_do_not_load_are_lines_and_no_abort(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("def handle(data, context):\n    raise SystemExit(1)\n")
    dying = run(
        *command(
            tmp_path,
            as_override("model.handler", tmp_path / "handler.py"),
            *(f"model.{key}=null" for key in ("labels", "weights")),
            "trials=2",
        )
    )
    assert dying.returncode == 1
    failures = [each["failure"] for each in measured(tmp_path)]
    assert len(failures) == 2
    assert all(failures), dying.stdout
    assert "no combination stays within" in dying.stdout
    assert processes_in(tmp_path) == []
