"""make up, down, status: idempotent, and what fails leaves nothing running."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.encoded_images import SMALL
from tests.http_client import HTTP, answers
from tests.processes import until
from tests.running_stack import RunningStack, run
from torchserve_gateway.local_stack.preflight import PreflightError, check_before_start
from torchserve_gateway.local_stack.supervisor import Supervisor
from torchserve_gateway.settings.composition import PROJECT_ROOT


def processes_of(stack: RunningStack) -> list[str]:
    """Command lines of all processes that carry the stack's folder or sockets in them."""
    marks = (str(stack.directory), str(stack.settings.runtime_dir))
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if any(mark in command for mark in marks) and entry.parent.name != str(os.getpid()):
            found.append(command)
    return found


def open_ports(stack: RunningStack) -> list[int]:
    torchserve = stack.settings.torchserve
    urls = (
        torchserve.inference_url,
        torchserve.management_url,
        torchserve.metrics_url,
        stack.settings.gateway.url,
    )
    ports = [urlsplit(url).port or 0 for url in urls]
    listening = []
    for port in ports:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                listening.append(port)
    return listening


def test_up_and_down_are_idempotent_and_leave_nothing(tmp_path: Path) -> None:
    stack = RunningStack.configure(tmp_path)
    assert stack.stack("status").returncode == 1
    try:
        for _ in range(2):
            up = stack.stack("up")
            assert up.returncode == 0, up.stderr
            assert [line.split()[1] for line in up.stdout.splitlines()] == ["RUNNING", "RUNNING"]
            assert stack.settings.gateway.url in up.stdout
        printed = stack.stack("status", "--json")
        assert printed.returncode == 0
        parts = {each["name"]: each for each in json.loads(printed.stdout)}
        assert parts["gateway"]["url"] == stack.settings.gateway.url
        assert Path(f"/proc/{parts['torchserve']['pid']}").exists()
        other = stack.stack("up", "gateway.deadline_s=5")
        assert other.returncode == 1
        assert "make down first" in other.stderr
        more = stack.stack("up", "gateway.models=[genre,digits]")
        assert more.returncode == 1
        assert "make down first" in more.stderr
        kept = stack.stack("up", "--keep-models", "gateway.models=[genre,digits]")
        assert kept.returncode == 0, kept.stderr
        assert "the stack was started without digits" in kept.stderr
        pets = stack.stack("up", "model.name=pets")
        assert pets.returncode == 1
        [line] = pets.stderr.splitlines()
        assert "nothing is deployed; make upload_model MODEL=pets deploys pets without a restart" in line
    finally:
        assert stack.stack("down").stdout == "stopped\n"
    assert stack.stack("down").stdout == "not running\n"
    assert processes_of(stack) == []
    assert open_ports(stack) == []
    assert not stack.settings.runtime_dir.exists()


def test_a_port_in_use_is_one_line_and_nothing_is_left_running(tmp_path: Path) -> None:
    stack = RunningStack.configure(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", stack.settings.gateway.port))
        taken.listen()
        result = stack.stack("up")
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert f"port {stack.settings.gateway.port}" in line
    assert "gateway.port" in line
    assert processes_of(stack) == []


def test_ctrl_c_in_a_start_leaves_nothing(tmp_path: Path) -> None:
    stack = RunningStack.configure(tmp_path)
    command = ["-m", "torchserve_gateway", "up", *stack.overrides, f"state_dir={tmp_path}/var"]
    with subprocess.Popen(
        [sys.executable, *command], cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
    ) as up:
        until(lambda: Supervisor(stack.settings).pid() or up.poll() is not None)
        up.send_signal(signal.SIGINT)
        _, said = up.communicate(timeout=120)
    assert (up.returncode, said.splitlines()[-1]) == (130, "interrupted")
    assert "Traceback" not in said
    assert processes_of(stack) == []
    assert open_ports(stack) == []
    assert not stack.settings.runtime_dir.exists()


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    stack = RunningStack.configure(tmp_path)
    settings = stack.settings.model_copy(update={"min_free_disk_mb": 10**9})
    with pytest.raises(PreflightError, match="MB of disk left, at least 1000000000 MB"):
        check_before_start(settings)


def test_a_part_that_does_not_start_is_said_with_its_log_and_nothing_is_left_running(tmp_path: Path) -> None:
    stack = RunningStack.configure(tmp_path, "+torchserve.properties.inference_address=nonsense")
    (tmp_path / "deployments").mkdir()
    (tmp_path / "deployments" / "deployed.json").write_text("damaged")
    result = stack.stack("up")
    assert result.returncode == 1
    assert "torchserve does not start" in result.stderr
    assert "TorchServe cannot start" in result.stderr
    assert processes_of(stack) == []
    assert open_ports(stack) == []


def test_torchserve_alone_in_the_foreground_stops_with_sigterm(tmp_path: Path) -> None:
    stack = RunningStack.configure(tmp_path)
    command = [
        sys.executable,
        "-m",
        "torchserve_gateway.commands.torchserve",
        *stack.overrides,
        f"state_dir={tmp_path}/var",
    ]
    process = subprocess.Popen(
        command, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: answers(f"{stack.settings.torchserve.inference_url}/ping"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    assert open_ports(stack) == []


def test_the_gateway_alone_answers_without_torchserve_and_exits_with_0_on_sigterm(tmp_path: Path) -> None:
    stack = RunningStack.configure(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "app.py", *stack.overrides],
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    gateway = stack.settings.gateway.url
    try:
        until(lambda: answers(f"{gateway}/health/live"))
        assert HTTP.get(f"{gateway}/health/ready").status_code == 503
        assert HTTP.put(f"{gateway}/predictions/genre", content=SMALL["JPEG"]).status_code == 502
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0


def test_an_idle_connection_is_closed_by_the_client_first(stack: RunningStack) -> None:
    """httpx and most others keep one for 5 s; a gateway that closes it then loses the next request."""
    with httpx.Client(limits=httpx.Limits(keepalive_expiry=60)) as client:
        url = f"{stack.settings.gateway.url}/health/live"
        socket_before = client.get(url).extensions["network_stream"].get_extra_info("client_addr")
        time.sleep(6)
        assert client.get(url).extensions["network_stream"].get_extra_info("client_addr") == socket_before


def test_a_wrong_action_is_2() -> None:
    result = run("-m", "torchserve_gateway", "restart")
    assert result.returncode == 2
    assert "restart" in result.stderr
