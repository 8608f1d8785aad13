"""The measurement beside other servers checks answers and ends what it starts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.http_client import HTTP
from tests.processes import until
from tools.bench.gateway_cost.instant_torchserve import BODY
from tools.bench.peers import requests
from tools.bench.peers.contenders import Contender
from tools.bench.peers.load import Answer, Load, WrongAnswerError, answers, compare
from tools.bench.peers.machine import Meter, warnings
from tools.bench.peers.process_tree import NotStartedError, server, stopped, trees
from tools.bench.peers.rounds import checked, play
from tools.bench.peers.table import best_peer, lines
from torchserve_gateway.local_stack.free_ports import free_ports
from torchserve_gateway.settings.composition import PROJECT_ROOT

IMAGE = PROJECT_ROOT / "imgs/drama.jpg"
RIGHT = {"Horror": 0.5, "Comedy": 0.25, "Drama": 0.25}


@pytest.fixture
def instant() -> Iterator[int]:
    """Port of a server that answers `RIGHT`."""
    [port] = free_ports(1)
    with ExitStack() as cleanup:
        command = (sys.executable, "-m", "tools.bench.gateway_cost.instant_torchserve", str(port))
        cleanup.enter_context(server(command, f"http://127.0.0.1:{port}/", {}))
        yield port


def load(port: int, expected: Answer) -> Load:
    return Load(port, [requests.raw("/predictions/genre", IMAGE)] * 2, [expected] * 2, requests.plain, 0.05)


def row(name: str, rates: list[float], *, is_peer: bool = True, port: int = 1) -> Contender:
    found = Contender(name, load(port, RIGHT), (os.getpid(),), is_peer)
    found.rates, found.cpu_ms, found.client_shares = rates, [10.0] * len(rates), [0.1] * len(rates)
    found.others_shares = [0.02] * len(rates)
    return found


def test_right_answers_are_counted_and_their_difference_is_known(instant: int) -> None:
    assert compare(load(instant, RIGHT)) == 0
    assert compare(load(instant, RIGHT | {"Horror": 0.48})) == pytest.approx(0.02)
    assert answers(load(instant, RIGHT), clients=3, seconds=0.05) >= 3


@pytest.mark.parametrize("expected", [RIGHT | {"Horror": 0.4}, {"Horror": 0.5, "Western": 0.5}])
def test_a_row_with_wrong_answers_is_not_measured(
    instant: int, expected: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(WrongAnswerError):
        compare(load(instant, expected))
    wrong = Contender("wrong", load(instant, expected), (os.getpid(),), is_peer=True)
    assert checked([wrong]) == []
    assert capsys.readouterr().out.startswith("wrong is not measured: ")


def test_a_server_ends_with_all_that_it_started() -> None:
    [port] = free_ports(1)
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-m', 'http.server', '{port}'])"
    with server((sys.executable, "-c", child), f"http://127.0.0.1:{port}/", {}) as process:
        assert len(trees(process.pid)) == 2
    with pytest.raises(httpx.ConnectError):
        HTTP.get(f"http://127.0.0.1:{port}/")
    assert process.returncode is not None


def test_a_server_stands_still_with_all_that_it_started(instant: int) -> None:
    with server((sys.executable, "-m", "http.server", "0"), f"http://127.0.0.1:{instant}/", {}) as process:

        def stands_still() -> bool:
            return "State:\tT" in Path(f"/proc/{process.pid}/status").read_text()

        with stopped([process.pid], []):
            until(stands_still)
        until(lambda: not stands_still())
        with stopped([process.pid], [process.pid]):
            assert not stands_still()


def test_a_server_that_ends_says_why() -> None:
    with (
        pytest.raises(NotStartedError, match="no model here"),
        server((sys.executable, "-c", "raise SystemExit('no model here')"), "http://127.0.0.1:1/", {}),
    ):
        pass


def test_each_protocol_reads_the_same_answer() -> None:
    assert requests.plain(BODY) == RIGHT
    assert requests.only(b"[" + BODY + b"]") == RIGHT
    text = BODY.decode().replace('"', '\\"')
    assert requests.from_open_inference(f'{{"outputs": [{{"data": ["{text}"]}}]}}'.encode()) == RIGHT


def test_the_table_compares_with_the_best_peer_and_warns_of_noise() -> None:
    slow, fast = row("slow", [10.0, 10.0, 10.0]), row("fast", [20.0, 21.0, 20.0])
    ours, noisy = row("ours", [40.0, 42.0, 40.0], is_peer=False), row("noisy", [5.0, 9.0, 7.0])
    rows = [slow, fast, ours, noisy]
    assert best_peer(rows) is fast
    printed = lines("demo", rows)
    by_name = {line.split()[0]: line.split()[-1] for line in printed[2:6]}
    assert by_name == {"slow": "0.50", "fast": "1.00", "ours": "2.00", "noisy": "0.35"}
    assert printed[-2].endswith("over 25%: noisy")
    assert not any("WARNING" in line for line in lines("demo", rows[:3]))


@pytest.mark.slow
def test_a_row_that_fails_in_a_round_leaves_the_table(instant: int) -> None:
    right = Contender("right", load(instant, RIGHT), (os.getpid(),), is_peer=True)
    gone = row("gone", [], port=free_ports(1)[0])
    assert [left.name for left in play([right, gone], rounds=2, seconds=0.05, settle_s=0.05)] == ["right"]
    assert len(right.rates) == 2


def test_other_programs_are_told_from_servers() -> None:
    busy = "import time\nend = time.monotonic() + 30\nwhile time.monotonic() < end: pass"
    with ExitStack() as cleanup:
        server_of_ours, other = (
            cleanup.enter_context(subprocess.Popen((sys.executable, "-c", busy))) for _ in range(2)
        )
        cleanup.callback(server_of_ours.kill)
        cleanup.callback(other.kill)
        meter, give_up = Meter(server_of_ours.pid), time.monotonic() + 20
        while min(meter.usage().servers_s, meter.usage().others_share) < 0.05 and time.monotonic() < give_up:
            time.sleep(0.02)
        usage = meter.usage()
    assert usage.servers_s >= 0.05
    assert 0.05 <= usage.others_share <= 1


def test_other_programs_are_a_warning_from_a_tenth_on() -> None:
    said = "other programs took 2% of the machine in the median round, 50% at most"
    assert warnings([0.5, 0.01, 0.02]) == [said]
    assert warnings([0.2])[0].startswith("WARNING: too noisy a machine: other programs took 20%")
