"""Reports of the gateways for the deployer: the revision that they follow, and counts by version.

Every gateway replaces its own file in `gateways/` beside the record, several times a second. Counts grow from
the gateway's start; the deployer takes differences. A file that stops changing belongs to a stopped gateway.
"""

import asyncio
import bisect
import itertools
import logging
import math
from collections import Counter
from pathlib import Path
from time import monotonic

from pydantic import BaseModel, ValidationError

logger = logging.getLogger(__name__)

DIRECTORY = "gateways"
# Upper bounds in seconds, each a tenth above the one before: 1 ms to about 90 s.
LATENCY_BOUNDS_S = tuple(
    itertools.accumulate(itertools.repeat(1.1, 120), lambda bound, by: bound * by, initial=0.001)
)
# A gateway writes twice a second; after this long without a write it counts as stopped.
GONE_AFTER_S = 3.0
POLL_INTERVAL_S = 0.2


def report_of(directory: Path, gateway: str) -> Path:
    """The file of a gateway's reports beside the record in `directory`."""
    return directory / DIRECTORY / f"{gateway}.json"


class Comparison(BaseModel):
    """Answers to shadow copies compared with the clients' answers."""

    compared: int = 0
    same_class: int = 0
    within_tolerance: int = 0
    failed: int = 0
    skipped: int = 0
    """Requests not copied because enough copies were in flight."""


class VersionCounts(BaseModel):
    """Requests of one version."""

    in_flight: int = 0
    answered: int = 0
    failed: int = 0
    """Failures of TorchServe or the model; invalid requests are not counted."""
    latencies: Counter[int] = Counter()
    """Answers by index of their bucket in LATENCY_BOUNDS_S."""
    shadow: Comparison = Comparison()

    def observe(self, latency_s: float) -> None:
        """Counts one answer; latency_s runs from sending the request to TorchServe's complete answer."""
        self.answered += 1
        self.latencies[bisect.bisect_left(LATENCY_BOUNDS_S, latency_s)] += 1

    @property
    def error_rate(self) -> float:
        """Failed share of all ended requests, 0 to 1."""
        return self.failed / max(self.answered + self.failed, 1)

    def latency_s(self, quantile: float) -> float:
        """The upper bound of the bucket that holds the quantile; 0 without answers."""
        wanted = quantile * self.latencies.total()
        for bucket, seen in zip(sorted(self.latencies), _running_sums(self.latencies), strict=True):
            if seen >= wanted:
                return LATENCY_BOUNDS_S[min(bucket, len(LATENCY_BOUNDS_S) - 1)]
        return 0.0

    def plus(self, other: "VersionCounts", sign: int = 1) -> "VersionCounts":
        """The sum of both; with sign=-1 the counts since `other`."""
        latencies = Counter(self.latencies)
        for bucket, count in other.latencies.items():
            latencies[bucket] += sign * count
        mine, others = self.shadow.model_dump(), other.shadow.model_dump()
        return VersionCounts(
            in_flight=self.in_flight + (other.in_flight if sign > 0 else 0),
            answered=self.answered + sign * other.answered,
            failed=self.failed + sign * other.failed,
            latencies=+latencies,
            shadow=Comparison(**{key: mine[key] + sign * others[key] for key in mine}),
        )


class GatewayReport(BaseModel):
    """One report of one gateway."""

    gateway: str
    """Identifies the gateway process."""
    sequence: int
    """Grows with every report."""
    revision: int
    """Revision of the record that newly admitted requests follow."""
    counts: dict[str, dict[str, VersionCounts]]
    """By model and version; version "" counts requests for which TorchServe chooses."""

    def of(self, model: str, version: str) -> VersionCounts:
        """One version's counts; zeros if it had no request."""
        return self.counts.get(model, {}).get(version, VersionCounts())


class Gateways:
    """The live gateways, by their reports in the directory of the record."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / DIRECTORY
        # By gateway: newest sequence number, and when it changed by this process's clock.
        self._seen: dict[str, tuple[int, float]] = {}
        self._last_lost = -math.inf

    def live(self) -> dict[str, GatewayReport]:
        """The newest report of each gateway that still writes; reports of stopped gateways are removed."""
        now, live = monotonic(), {}
        for file in self._directory.glob("*.json"):
            try:
                report = GatewayReport.model_validate_json(file.read_bytes())
            except (OSError, ValidationError) as exc:
                logger.warning("a gateway's report cannot be read: %s", exc)
                continue
            sequence, since = self._seen.get(report.gateway, (-1, now))
            if report.sequence != sequence:
                since = now
            self._seen[report.gateway] = (report.sequence, since)
            if now - since > GONE_AFTER_S:
                logger.warning("gateway %s reports no more; it may have requests in flight", report.gateway)
                self._last_lost = now
                file.unlink(missing_ok=True)
            else:
                live[report.gateway] = report
        return live

    def lost_within(self, seconds: float) -> bool:
        """Whether a gateway fell silent in that time without a regular end: killed, or stuck."""
        return monotonic() - self._last_lost < seconds

    async def follow(self, revision: int) -> bool:
        """Waits until every live gateway follows the record's revision; a starting gateway reads it first.

        Returns:
            False if there is no gateway.
        """
        first_look = monotonic()
        while True:
            reports = self.live().values()
            # Files of stopped and live gateways differ only after this long.
            if monotonic() - first_look > GONE_AFTER_S and not reports:
                return False
            if reports and all(report.revision >= revision for report in reports):
                return True
            await asyncio.sleep(POLL_INTERVAL_S)

    def in_flight(self, model: str, version: str) -> int:
        """Requests in flight for the version, plus those for which TorchServe chooses the version."""
        return sum(
            report.of(model, version).in_flight + report.of(model, "").in_flight
            for report in self.live().values()
        )


class Window:
    """Counts of a version since the creation of the window, over all gateways."""

    def __init__(self, gateways: Gateways, model: str, version: str) -> None:
        self._gateways, self._model, self._version = gateways, model, version
        self._start = self._read()

    def counts(self) -> VersionCounts:
        """The sum over the live gateways."""
        total = VersionCounts()
        for gateway, counts in self._read().items():
            total = total.plus(counts.plus(self._start.get(gateway, VersionCounts()), sign=-1))
        return total

    def _read(self) -> dict[str, VersionCounts]:
        live = self._gateways.live()
        return {gateway: report.of(self._model, self._version) for gateway, report in live.items()}


def _running_sums(latencies: Counter[int]) -> list[int]:
    return list(itertools.accumulate(latencies[bucket] for bucket in sorted(latencies)))
