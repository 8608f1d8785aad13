"""Rates, latencies and their reports are those that were meant."""

import asyncio
import itertools
from contextvars import ContextVar
from html.parser import HTMLParser
from pathlib import Path

import pytest

from torchserve_gateway.load_test import open_loop, profiles
from torchserve_gateway.load_test.clients import Client
from torchserve_gateway.load_test.comparison import comparison
from torchserve_gateway.load_test.report import NoReportError, Report, Sample, read_report
from torchserve_gateway.load_test.report_page import report_page
from torchserve_gateway.load_test.sender import Answer
from torchserve_gateway.load_test.statistics import Latencies, Tally
from torchserve_gateway.settings.composition import ConfigurationError, load
from torchserve_gateway.settings.load_test import StressSettings

HOSTILE = '<script>alert("x")</script>&'


def report(**changed: object) -> Report:
    values: dict[str, object] = {
        "started": "2026-01-02T03:04:05Z",
        "model": "genre",
        "url": "http://127.0.0.1:5003",
        "load": "10 requests/s, 2 clients",
        "duration_s": 2.0,
        "rates": [10.0],
        "answered": 20,
        "unverified": 0,
        "versions": {"1.0": 20},
        "errors": {},
        "latency_ms": {"50": 10.0, "99": 20.0},
        "cpu_percent": 2.0,
        "timeline": [Sample(at_s=1, rate=10, errors_per_s=0, latency_ms={"50": 10, "95": 15, "99": 20})],
        "histogram": "",
    }
    return Report.model_validate(values | changed)


def test_a_constant_rate_has_no_end() -> None:
    assert list(itertools.islice(profiles.constant(4), 5)) == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(("start", "end"), [(0, 100), (100, 20), (50, 50)])
def test_a_ramp_has_its_rates_at_both_ends(start: float, end: float) -> None:
    times = list(profiles.ramp(start, end, 10))
    assert times == sorted(times)
    assert len(times) == (start + end) / 2 * 10
    assert times[-1] < 10
    in_first, in_last = sum(t < 1 for t in times), sum(t >= 9 for t in times)
    change = (end - start) / 10
    assert in_first == pytest.approx(start + change / 2, abs=1.5)
    assert in_last == pytest.approx(end - change / 2, abs=1.5)


def test_steps_follow_each_other() -> None:
    times = list(profiles.steps([2, 4], 1))
    assert times == [0, 0.5, 1, 1.25, 1.5, 1.75]


@pytest.mark.parametrize(
    ("overrides", "load_line"),
    [
        ([], "closed loop, 64 clients"),
        (["rate=5"], "5 requests/s, 64 clients"),
        (["ramp={start:10,end:200}"], "10 to 200 requests/s, 64 clients"),
        (["steps=[50,100]"], "50, 100 requests/s, 64 clients"),
    ],
)
def test_the_profile_is_the_configured(overrides: list[str], load_line: str) -> None:
    assert profiles.described(load("stress", StressSettings, overrides)) == load_line


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["rate=5", "steps=[1]"], "rate and steps"),
        (["ramp={start:1,end:0}"], r"ramp\.end"),
        (["steps=[]"], "steps"),
        (["steps=[1,-2]"], r"steps\.1"),
        (["report_json=missing/report.json"], "existing folder"),
    ],
)
def test_a_wrong_profile_or_report_is_named(overrides: list[str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load("stress", StressSettings, overrides)


def test_percentiles_are_within_a_thousandth() -> None:
    latencies = Latencies()
    values = [0.0005 * 1.001**number for number in range(12_000)]
    for each in values:
        latencies.add(each)
    for percentile in (1, 50, 99, 99.9):
        exact = values[round(percentile / 100 * len(values)) - 1] * 1000
        assert latencies.percentile_ms(percentile) == pytest.approx(exact, rel=2.5e-3)  # a value apart, 0.1 %
    assert latencies.longer_than(values[-11]) == pytest.approx(10, abs=1)


def test_a_latency_beyond_an_hour_is_kept_as_an_hour() -> None:
    latencies = Latencies()
    latencies.add(10_000)
    assert latencies.percentile_ms(50) == pytest.approx(3_600_000, rel=1e-3)


async def test_a_stall_shows_in_every_request_that_it_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator itself stalls for 2 s while the third request is sent; the clock is the test's own."""
    now = 100.0

    class Stalling:
        sent = 0

        async def post(self, path: str, body: bytes) -> Answer:
            nonlocal now
            self.sent += 1
            now += 2 if self.sent == 4 else 0
            return Answer(200, "1", b'{"A": 1.0}')

    def clock() -> float:
        return now

    monkeypatch.setattr("torchserve_gateway.load_test.open_loop.perf_counter", clock)
    monkeypatch.setattr("torchserve_gateway.load_test.clients.perf_counter", clock)
    client, tally = Client(Stalling(), "/predictions/m", b"image", 1e-4), Tally()
    await client.learn()
    real_sleep = asyncio.sleep
    # Tasks that other tests left on the loop sleep, too.
    in_this_test = ContextVar("in_this_test", default=False)
    in_this_test.set(True)

    async def sleep(seconds: float) -> None:
        nonlocal now
        if not in_this_test.get():
            await real_sleep(seconds)
            return
        end = now + seconds
        await real_sleep(0)
        await real_sleep(0)
        now = max(now, end)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await open_loop.send_at([client], profiles.steps([10], 2), tally, asyncio.Event())
    assert tally.answered == 20
    # The stalled request and the 17 that were due before its end; two were due later.
    assert tally.latencies.longer_than(0.25) == 18
    assert tally.latencies.percentile_ms(100) == pytest.approx(2000, rel=0.002)


class Elements(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_hostile_names_are_text() -> None:
    page = report_page(report(model=HOSTILE, url=HOSTILE, errors={HOSTILE: 1}, versions={HOSTILE: 1}))
    elements = Elements()
    elements.feed(page)
    elements.close()
    assert elements.open == []
    assert elements.seen.count("svg") == 3
    assert elements.seen.count("polyline") == 5
    assert "script" not in elements.seen
    assert elements.links == []


def test_a_page_without_any_answer_has_empty_charts() -> None:
    assert report_page(report(answered=0, rates=[0.0], versions={}, latency_ms={}, timeline=[])).endswith(
        "</html>\n"
    )


def test_two_reports_are_compared_by_their_ratios(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(report().model_dump_json())
    table = comparison(read_report(file), report(rates=[15.0], latency_ms={"50": 5.0, "99": 30.0}))
    assert "right answers/s                     10.0        15.0    1.50" in table
    assert "p99 ms                              20.0        30.0    1.50" in table
    assert "p99.9 ms                               -           -       -" in table
    assert "not the same load" not in table
    assert "not the same load" in comparison(report(), report(load="closed loop, 2 clients"))


@pytest.mark.parametrize("content", [None, "", "{}", '{"kind": "other"}', "[1]"])
def test_a_file_that_is_no_report_is_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NoReportError, match=r"other\.json"):
        read_report(file)
