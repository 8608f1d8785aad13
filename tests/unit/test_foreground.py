"""`tools/foreground.py`: an end by a signal is no failure, any other end is the command's own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import until_gone
from torchserve_gateway.settings.composition import PROJECT_ROOT

MAKEFILE = """
.ONESHELL:
.SHELLFLAGS := -eu -c
served:
	@exec {python} {tool} {python} -u -c 'import os, signal, time; \\
		signal.signal(signal.SIGINT, signal.SIG_DFL); print(os.getpid()); time.sleep(600)'
"""
TOOL = PROJECT_ROOT / "tools" / "foreground.py"


@pytest.mark.parametrize(("code", "expected"), [("raise SystemExit(0)", 0), ("raise SystemExit(3)", 3)])
def test_the_exit_code_is_the_commands(code: str, expected: int) -> None:
    command = [sys.executable, str(TOOL), sys.executable, "-c", code]
    assert subprocess.run(command, check=False).returncode == expected


def test_signals_that_come_while_it_ends_are_no_failure() -> None:
    served = "import time; print(1); time.sleep(600)"
    command = [sys.executable, str(TOOL), sys.executable, "-u", "-c", served]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        while process.poll() is None:
            process.send_signal(signal.SIGTERM)
            time.sleep(0.0002)
    assert process.returncode == 0


# A SIGINT to make alone stays with make.
@pytest.mark.parametrize(
    ("whom", "number"),
    [
        ("make", signal.SIGTERM),
        ("terminal", signal.SIGINT),
        ("terminal", signal.SIGTERM),
        ("command", signal.SIGINT),
        ("command", signal.SIGTERM),
    ],
)
def test_a_stopped_target_is_no_error_and_leaves_nothing(
    tmp_path: Path, whom: str, number: signal.Signals
) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE.format(python=sys.executable, tool=TOOL))
    with subprocess.Popen(
        ["make", "served"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    ) as make:
        assert make.stdout
        assert make.stderr
        served = int(make.stdout.readline())
        if whom == "terminal":
            # Its Ctrl-C reaches the whole process group.
            os.killpg(make.pid, number)
        else:
            os.kill(make.pid if whom == "make" else served, number)
        said = make.stderr.read()
        make.wait()
    until_gone(served)
    assert "Error" not in said
    assert "Traceback" not in said
    # Make itself ends by the signal that it gets.
    assert make.returncode == (0 if whom == "command" else -number)
