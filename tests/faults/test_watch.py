"""`make watch` before a gateway that is there, away, or closed to it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from tests.fake_torchserve import FakeTorchServe
from tests.free_ports import free_ports
from tests.keys import with_keys, write_keys
from tests.running_stack import run
from tests.served_gateway import served_gateway
from torchserve_gateway.settings.composition import PROJECT_ROOT

COMMAND = (sys.executable, "-m", "torchserve_gateway", "watch")


@pytest.fixture
def server() -> Iterator[uvicorn.Server]:
    with served_gateway(FakeTorchServe()) as server:
        yield server
        server.config.app.state.admission.drain()  # type: ignore[union-attr]


@pytest.mark.slow
def test_in_a_pipe_it_prints_a_line_a_second_until_ctrl_c(server: uvicorn.Server) -> None:
    process = subprocess.Popen(
        [*COMMAND, f"gateway.port={server.config.port}"],
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    rest, complaints = process.communicate(timeout=60)
    assert process.returncode == 0
    assert complaints == ""
    for line in [*lines, *rest.splitlines()]:
        assert ", images/s 0.0, p50 -, p95 -, p99 -, in flight 0, waiting 0, batch -, errors 0" in line
        assert "\x1b" not in line


@pytest.mark.slow
def test_a_reader_that_has_read_enough_ends_it(server: uvicorn.Server) -> None:
    piped = f"{' '.join(COMMAND)} gateway.port={server.config.port} | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", piped], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.slow
def test_without_a_gateway_it_says_how_to_start_it() -> None:
    done = run(*COMMAND[1:], f"gateway.port={free_ports(1)[0]}")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "cannot be reached" in line
    assert line.endswith("start it with make up")


@pytest.mark.slow
def test_a_gateway_with_keys_names_the_right_and_the_setting(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", models=("models",))
    with served_gateway(FakeTorchServe(), *with_keys(tmp_path / "keys.json")) as server:
        done = run(*COMMAND[1:], f"gateway.port={server.config.port}")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "RIGHTS=models" in line
    assert "gateway.auth.own_key_file" in line
