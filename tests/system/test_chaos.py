"""Parts that die, halt or fill up while requests come: each request is answered right or told why.

None is lost, none hangs, and then all is as before without anyone's help.
"""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.processes import until_gone
from tests.running_stack import RunningStack
from tests.steady_load import steady_load, until_undisturbed

pytestmark = pytest.mark.long
# What the gateway says of a TorchServe that is not there, ends in the middle of an answer, or is too slow.
TOLD = ("HTTP 502", "HTTP 503", "HTTP 504")
# What a client meets whose gateway is gone; a ReadTimeout, that is a request that hangs, is not among them.
GONE = ("ConnectError", "ReadError", "WriteError", "RemoteProtocolError")
HALT_S = 10
DISK_BYTES = 64 << 20
IDLE_CONNECTIONS = 2000
# What a shell on Debian starts with.
USUAL_OPEN_FILES = 1024


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of its own, where the system allows that."""
    directory = tmp_path_factory.mktemp("chaos")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory)]
    mounted = (
        bool(shutil.which("mount"))
        and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    yield directory
    if mounted:
        subprocess.run(["umount", "-l", str(directory)], check=True)


@contextlib.contextmanager
def open_files(limit: int) -> Iterator[None]:
    """That this process, and what it starts, may have open."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.fixture(scope="module")
def stack(directory: Path, built_archive: Path) -> Iterator[RunningStack]:
    """A stack of its own: the others' requests must not be among those that a kill fails."""
    stack = replace(RunningStack.configure(directory, "model.workers=1"), built=built_archive)
    with ExitStack() as cleanup:
        with open_files(USUAL_OPEN_FILES):
            cleanup.enter_context(stack.running(None, "min_free_disk_mb=1"))
        stack.deploy("1.5")
        yield stack


@pytest.mark.parametrize(
    ("part", "seen"), [("worker", TOLD), ("torchserve", TOLD), ("gateway", (*TOLD, *GONE))]
)
def test_a_killed_part_is_back_with_the_deployed_version(
    stack: RunningStack, part: str, seen: tuple[str, ...]
) -> None:
    before = stack.versions()
    with steady_load(stack.settings.gateway.url, seen) as load:
        pid = stack.pid(part)
        os.kill(pid, signal.SIGKILL)
        until_gone(pid)
        until_undisturbed(load)
    assert set(load.versions) == set(before)
    assert load.unverified == 0


@pytest.mark.parametrize("part", ["worker", "torchserve"])
def test_a_part_that_halts_and_goes_on_is_waited_for_or_its_callers_are_told(
    stack: RunningStack, part: str
) -> None:
    before = stack.versions()
    with steady_load(stack.settings.gateway.url, TOLD) as load:
        pid = stack.pid(part)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(HALT_S)
        os.kill(pid, signal.SIGCONT)
        until_undisturbed(load)
    assert set(load.versions) == set(before)


def test_a_full_disk_fails_the_deployment_and_no_request(stack: RunningStack, directory: Path) -> None:
    if not os.path.ismount(directory):
        pytest.skip("only root may make a disk that is full")
    before, version = stack.versions(), stack.fresh_version()
    stack.add_archive(version)
    filler = directory / "filler"
    with steady_load(stack.settings.gateway.url) as load:
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        refused = stack.upload_model(version)
        assert refused.returncode == 1
        assert "No space left on device" in refused.stderr
        assert stack.versions() == before
        filler.unlink()
        accepted = stack.upload_model(version)
        assert accepted.returncode == 0, accepted.stderr
        until_undisturbed(load)
    assert set(load.versions) == {*before, version}


def test_two_thousand_idle_connections_keep_nobody_from_an_answer(stack: RunningStack) -> None:
    gateway = stack.settings.gateway
    with (
        open_files(2 * IDLE_CONNECTIONS),
        ExitStack() as connections,
        steady_load(gateway.url) as load,
    ):
        for number in range(IDLE_CONNECTIONS):
            idle = socket.create_connection((gateway.host, gateway.port))
            connections.callback(idle.close)
            if number % 2:
                # One that was used and is kept; the others never say a word.
                idle.sendall(b"GET /health/live HTTP/1.1\r\nHost: gateway\r\n\r\n")
                assert idle.recv(1 << 16).startswith(b"HTTP/1.1 200")
        until_undisturbed(load)
