"""The result of a load test as a file."""

import math
import statistics
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from torchserve_gateway.load_test.statistics import Latencies

PERCENTILES = (50, 75, 90, 95, 99, 99.9, 100)


class NoReportError(Exception):
    """A file is no report of a load test."""


class Sample(BaseModel):
    """One interval of the timeline."""

    model_config = ConfigDict(extra="forbid")

    at_s: float
    """End of the interval, seconds after the start."""
    rate: float
    """Right answers a second."""
    errors_per_s: float
    """Failed requests a second."""
    latency_ms: dict[str, float]
    """Milliseconds by percentile; empty without a right answer."""


class Report(BaseModel):
    """Everything that a run measured."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["torchserve-gateway load test"] = "torchserve-gateway load test"
    """Tells reports from other JSON files."""
    started: datetime
    """Time of the first request."""
    model: str
    """Model name."""
    url: str
    """Address of the gateway."""
    load: str
    """Clients or rates, for people."""
    duration_s: float
    """Seconds from the first request to the end of the last round."""
    rates: Annotated[list[float], Field(min_length=1)]
    """Right answers a second by round."""
    answered: int
    """Number of right answers."""
    unverified: int
    """Right answers without a reference."""
    versions: dict[str, int]
    """Right answers by version."""
    errors: dict[str, int]
    """Failed requests by kind."""
    latency_ms: dict[str, float]
    """Milliseconds by percentile; empty without a right answer."""
    cpu_percent: float
    """CPU time of the load generator, percent of a core."""
    timeline: list[Sample]
    """Intervals in their order."""
    histogram: str
    """Latencies in microseconds, as HdrHistogram encodes them."""

    @property
    def rate(self) -> float:
        """Right answers a second, the mean of the rounds."""
        return statistics.mean(self.rates)


def percentiles_ms(latencies: Latencies) -> dict[str, float]:
    """Milliseconds by percentile; empty without a latency."""
    found = {f"{each:g}": latencies.percentile_ms(each) for each in PERCENTILES}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def read_report(path: Path) -> Report:
    """Reads a JSON report.

    Raises:
        NoReportError: there is none.
    """
    try:
        return Report.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise NoReportError(f"{path}: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NoReportError(
            f"{path} is no report of a load test, as report_json=FILE writes it: {where} {first['msg']}"
        ) from exc
