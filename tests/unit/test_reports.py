"""The deployer knows which gateways are alive, what they have in flight and how a version did."""

from pathlib import Path

import pytest

from torchserve_gateway.record.reports import DIRECTORY, GatewayReport, Gateways, VersionCounts, Window


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time as the deployer sees it; the tests set it."""
    now = [100.0]
    monkeypatch.setattr("torchserve_gateway.record.reports.monotonic", lambda: now[0])
    return now


def report(
    directory: Path,
    gateway: str,
    sequence: int,
    counts: dict[str, VersionCounts] | None = None,
    revision: int = 1,
) -> None:
    (directory / DIRECTORY).mkdir(exist_ok=True)
    written = GatewayReport(
        gateway=gateway, sequence=sequence, revision=revision, counts={"genre": counts or {}}
    )
    (directory / DIRECTORY / f"{gateway}.json").write_text(written.model_dump_json())


def test_a_gateway_whose_report_stands_still_is_gone(tmp_path: Path, clock: list[float]) -> None:
    gateways = Gateways(tmp_path)
    for second in range(5):
        report(tmp_path, "alive", sequence=second)
        if second == 0:
            report(tmp_path, "dead", sequence=7)
        live = set(gateways.live())
        assert live == ({"alive", "dead"} if second < 4 else {"alive"})
        clock[0] += 1
    assert [file.stem for file in (tmp_path / DIRECTORY).iterdir()] == ["alive"]


def test_a_gateway_that_fell_silent_is_not_forgotten_at_once(tmp_path: Path, clock: list[float]) -> None:
    gateways = Gateways(tmp_path)
    report(tmp_path, "ended", sequence=1)
    report(tmp_path, "stuck", sequence=1)
    gateways.live()
    # One that ends takes its report away.
    (tmp_path / DIRECTORY / "ended.json").unlink()
    clock[0] += 2
    gateways.live()
    assert not gateways.lost_within(20)
    clock[0] += 2
    gateways.live()
    assert gateways.lost_within(20)
    clock[0] += 19
    assert gateways.lost_within(20)
    clock[0] += 2
    assert not gateways.lost_within(20)


@pytest.mark.slow
async def test_following_waits_for_every_live_gateway_and_not_for_dead_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torchserve_gateway.record.reports.GONE_AFTER_S", 0.5)
    report(tmp_path, "one", sequence=1, revision=5)
    assert await Gateways(tmp_path).follow(5)
    assert not await Gateways(tmp_path / "nobody").follow(5)
    report(tmp_path, "dead", sequence=1, revision=4)
    gateways = Gateways(tmp_path)
    # "one" does not change either, so in the end nobody is left.
    assert not await gateways.follow(5)


def test_requests_in_flight_are_those_of_all_gateways_and_those_torchserve_routes(tmp_path: Path) -> None:
    report(tmp_path, "one", 1, {"1.0": VersionCounts(in_flight=2), "2.0": VersionCounts(in_flight=9)})
    report(tmp_path, "two", 1, {"1.0": VersionCounts(in_flight=3), "": VersionCounts(in_flight=1)})
    assert Gateways(tmp_path).in_flight("genre", "1.0") == 6
    assert Gateways(tmp_path).in_flight("other", "1.0") == 0


def test_a_window_counts_from_its_start_over_all_gateways(tmp_path: Path) -> None:
    before, after = VersionCounts(answered=10, failed=1), VersionCounts(answered=30, failed=2)
    before.observe(5.0)
    after.observe(5.0)
    after.observe(0.1)
    report(tmp_path, "one", 1, {"2.0": before})
    window = Window(Gateways(tmp_path), "genre", "2.0")
    report(tmp_path, "one", 2, {"2.0": after})
    # It started meanwhile.
    report(tmp_path, "two", 1, {"2.0": VersionCounts(answered=4)})
    counts = window.counts()
    assert (counts.answered, counts.failed) == (20 + 1 + 4, 1)
    assert counts.latency_s(0.99) == pytest.approx(0.1, rel=0.1)


def test_a_quantile_is_within_a_tenth() -> None:
    counts = VersionCounts()
    for milliseconds in range(1, 1001):
        counts.observe(milliseconds / 1000)
    for quantile in (0.5, 0.95, 0.99):
        assert quantile <= counts.latency_s(quantile) <= quantile * 1.11
    assert VersionCounts().latency_s(0.5) == 0


def test_a_report_survives_the_file(tmp_path: Path) -> None:
    counts = VersionCounts(in_flight=1)
    counts.observe(0.2)
    report(tmp_path, "one", 1, {"1.0": counts})
    assert Gateways(tmp_path).live()["one"].of("genre", "1.0") == counts
