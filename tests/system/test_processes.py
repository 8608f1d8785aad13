"""A gateway of two processes, as `make run_app` starts it: one port, one admission, one metrics page."""

import contextlib
import itertools
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from tests.free_ports import free_ports
from tests.held_torchserve import HeldTorchServe, held_gateway, is_live, predict
from tests.processes import GIVE_UP_S, Process, until, until_gone
from torchserve_gateway.record.reports import GatewayReport, Gateways

TWO = ("gateway.processes=2", "gateway.deployments_refresh_s=0.1", "gateway.admission.max_in_flight=3")
COUNT = re.compile(r"^(\w+)(?:\{.*\})? ([0-9.e+]+)$", re.MULTILINE)


class Pair:
    """A running gateway of two processes."""

    def __init__(self, process: Process, url: str, directory: Path, torchserve: HeldTorchServe) -> None:
        self.process, self.url, self.torchserve = process, url, torchserve
        self.directory = directory

    @property
    def pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(each) for each in children.read_text().split()]

    @property
    def reports(self) -> dict[str, GatewayReport]:
        return Gateways(self.directory / "deployments").live()

    def until_both_serve(self) -> None:
        until(lambda: len(self.reports) == 2)

    def counted(self, name: str) -> float:
        """The sum of a metric over its labels, by whichever process answers."""
        with httpx.Client(trust_env=False) as http:
            page = http.get(f"{self.url}/metrics", timeout=GIVE_UP_S).text
        return sum(float(value) for found, value in COUNT.findall(page) if found == name)

    def connections_of(self, pid: int) -> int:
        """Clients' connections that a process holds."""
        port = httpx.URL(self.url).port
        return sum(
            each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
            for each in psutil.Process(pid).net_connections("tcp")
        )

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.directory / "gateway.log").read_text().splitlines()]


@contextlib.contextmanager
def running(directory: Path, *extra: str) -> Iterator[Pair]:
    torchserve = HeldTorchServe()
    torchserve.go.set()
    with held_gateway(torchserve, directory, *TWO, "gateway.log_format=json", *extra) as (process, url):
        pair = Pair(process, url, directory, torchserve)
        pair.until_both_serve()
        pids = pair.pids
        yield pair
    for pid in pids:
        until_gone(pid)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


@pytest.fixture
def whole(pair: Pair) -> Pair:
    """With two processes that answer nothing but the scrape, whatever an earlier test did to them."""
    pair.until_both_serve()
    until(lambda: pair.counted("gateway_requests_in_flight") == 1)
    return pair


@contextlib.contextmanager
def connections(url: str, number: int) -> Iterator[list[httpx.Client]]:
    """Clients that keep a connection each; they are open when this yields."""
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(httpx.Client(base_url=url, timeout=GIVE_UP_S, trust_env=False))
            for _ in range(number)
        ]
        for each in clients:
            assert each.get("/health/live").status_code == 200
        yield clients


def test_the_live_view_shows_the_requests_of_both_processes(whole: Pair) -> None:
    with (
        httpx.Client(base_url=whole.url, trust_env=False, timeout=GIVE_UP_S) as http,
        http.stream("GET", "/live/events") as view,
    ):
        events = (line.removeprefix("data: ") for line in view.iter_lines() if line.startswith("data: "))
        assert isinstance(json.loads(next(events)), list)
        # Each on a connection of its own: they are spread over the processes.
        for _ in range(10):
            httpx.put(f"{whole.url}/predictions/genre", content=b"no image", trust_env=False)
        errors = (json.loads(event)["errors"].get("UnsupportedFormatError", 0) for event in events)
        assert 10 in itertools.accumulate(itertools.islice(errors, 20))


def test_few_connections_are_spread_over_both_and_any_process_shows_all_metrics(whole: Pair) -> None:
    before = whole.counted("gateway_requests_total")
    with connections(whole.url, 4) as clients:
        answered = {name: _answered(report) for name, report in whole.reports.items()}
        for client in clients:
            assert client.post("/predictions/m", content=b"x").json() == {"Horror": 1.0}
        until(lambda: sum(map(_answered, whole.reports.values())) == sum(answered.values()) + 4)
        assert all(_answered(report) > answered[name] for name, report in whole.reports.items())
        pages = [client.get("/metrics").text for client in clients]
    # Requests to /metrics itself are counted when they are answered.
    predictions = re.compile(r'^gateway_requests_total\{.*"/predictions/\{model\}".* [0-9.]+$', re.MULTILINE)
    assert len({frozenset(predictions.findall(page)) for page in pages}) == 1
    assert whole.counted("gateway_requests_total") > before + 4


def _answered(report: GatewayReport) -> int:
    return sum(counts.answered for versions in report.counts.values() for counts in versions.values())


def test_admission_counts_over_both_and_no_process_waits_for_slots_of_an_idle_one(whole: Pair) -> None:
    torchserve = whole.torchserve
    torchserve.go.clear()
    came = torchserve.received
    with ThreadPoolExecutor(8) as pool, connections(whole.url, 8) as clients:
        asked = [pool.submit(client.post, "/predictions/m", content=b"x") for client in clients]
        until(lambda: whole.counted("gateway_admission_waiting") == 5)
        assert whole.counted("gateway_admission_in_flight") == 3
        assert whole.counted("gateway_requests_in_flight") == 8 + 1  # and the scrape
        assert torchserve.received == came + 3
        torchserve.go.set()
        assert [each.result().status_code for each in asked] == [200] * 8
    assert torchserve.received == came + 8
    # One process alone may have all slots.
    torchserve.go.clear()
    with ThreadPoolExecutor(3) as pool, connections(whole.url, 1):
        asked = [pool.submit(predict, whole.url) for _ in range(3)]
        until(lambda: torchserve.received == came + 11)
        torchserve.go.set()
        assert [each.result().status_code for each in asked] == [200] * 3


def test_a_killed_process_takes_its_own_requests_alone_and_is_replaced(whole: Pair) -> None:
    torchserve = whole.torchserve
    assert predict(whole.url).status_code == 200
    counted, reports, pids = whole.counted("gateway_requests_total"), whole.reports, whole.pids
    torchserve.go.clear()
    came = torchserve.received
    with ThreadPoolExecutor(3) as pool, connections(whole.url, 3) as clients:
        asked = [pool.submit(client.post, "/predictions/m", content=b"x") for client in clients]
        until(lambda: torchserve.received == came + 3)
        # Processes learn of closed connections with a delay, so either may have more of the three.
        killed = max(pids, key=whole.connections_of)
        its_own = whole.connections_of(killed)
        os.kill(killed, signal.SIGKILL)
        until(lambda: any(each.done() for each in asked))
        torchserve.go.set()
        outcomes = [each.exception() or each.result().status_code for each in asked]
    lost = [each for each in outcomes if each != 200]
    assert len(lost) == its_own > 0
    assert all(isinstance(each, httpx.TransportError) for each in lost)
    # New connections wait for a process, or find the other.
    assert [predict(whole.url).status_code for _ in range(10)] == [200] * 10
    gateways = Gateways(whole.directory / "deployments")
    until(lambda: len(gateways.live()) == 2 and set(whole.pids) - set(pids))
    assert len(gateways.live().keys() - reports.keys()) == 1
    # A deploy does not wait for the dead process.
    assert not gateways.lost_within(GIVE_UP_S)
    assert whole.counted("gateway_requests_total") >= counted + 10
    assert whole.counted("gateway_admission_in_flight") == 0
    assert any(line["event"] == f"process {killed} ended by SIGKILL" for line in _shortened(whole.log()))


def _shortened(log: list[dict[str, object]]) -> list[dict[str, object]]:
    return [line | {"event": str(line["event"]).partition(" and is replaced")[0]} for line in log]


def test_a_stop_under_load_loses_no_request_and_every_log_line_is_whole(tmp_path: Path) -> None:
    with running(tmp_path) as pair, ThreadPoolExecutor(6) as pool:
        clients = [pool.submit(_ask_until_it_stops, pair.url) for _ in range(6)]
        until(lambda: pair.counted("gateway_requests_total") > 100)
        # As `timeout` and some init processes do, and then the parent passes it on.
        os.killpg(pair.process.pid, signal.SIGTERM)
        answered = [each.result(GIVE_UP_S) for each in clients]
        assert all(answered)
        until(lambda: pair.process.ended)
        assert pair.process.returncode == 0
    lines = [line for line in pair.log() if line.get("path") == "/predictions/m" and line["status"] == 200]
    assert len(lines) == sum(answered)
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert list((tmp_path / "deployments" / "gateways").iterdir()) == []


def _ask_until_it_stops(url: str) -> int:
    """The answers until the gateway said that it stops."""
    with httpx.Client(base_url=url, timeout=GIVE_UP_S, trust_env=False) as http:
        answered = 0
        while (answer := http.post("/predictions/m", content=b"x")).status_code == 200:
            answered += 1
    assert answer.status_code == 503, answer.text
    assert "is stopping" in answer.text
    return answered


@pytest.mark.long
def test_a_process_that_hangs_is_replaced(whole: Pair) -> None:
    pids = whole.pids
    os.kill(pids[1], signal.SIGSTOP)
    until_gone(pids[1])
    whole.until_both_serve()
    assert f"process {pids[1]} hangs" in str(whole.log())
    assert predict(whole.url).status_code == 200


def test_ctrl_c_stops_all_and_the_port_is_free_again(tmp_path: Path) -> None:
    with running(tmp_path, "gateway.shutdown_delay_s=0.1") as pair:
        os.killpg(pair.process.pid, signal.SIGINT)
        until(lambda: pair.process.ended)
        assert pair.process.returncode == 0
        assert not is_live(pair.url)


def test_processes_end_with_their_parent_after_the_requests_in_flight(tmp_path: Path) -> None:
    with running(tmp_path) as pair, ThreadPoolExecutor(1) as pool:
        pair.torchserve.go.clear()
        came, pids = pair.torchserve.received, pair.pids
        asked = pool.submit(predict, pair.url)
        until(lambda: pair.torchserve.received == came + 1)
        pair.process.kill()
        until(lambda: not is_live(pair.url))
        pair.torchserve.go.set()
        assert asked.result().status_code == 200
        for pid in pids:
            until_gone(pid)


@pytest.mark.parametrize(
    ("override", "code", "said"),
    [
        ("gateway.auth.keys_file=none.json", 2, "configuration error: gateway.auth.keys_file"),
        ("gateway.port={taken}", 1, "cannot be bound"),
    ],
)
def test_what_cannot_start_says_so_once_and_ends(
    pair: Pair, tmp_path: Path, override: str, code: int, said: str
) -> None:
    auth = "gateway.auth.enabled=true" if "auth" in override else "gateway.auth.enabled=false"
    [port] = free_ports(1)
    taken = override.format(taken=pair.url.rpartition(":")[2])
    command = [sys.executable, "app.py", *TWO, auth, f"gateway.port={port}", taken]
    process = Process(tmp_path / "log", [*command, f"torchserve.deployments_dir={tmp_path}"])
    process.until_gone()
    log = (tmp_path / "log").read_text()
    assert (process.returncode, log.count(said)) == (code, 1), log
