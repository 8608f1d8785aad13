"""One measurement of one combination."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from torchserve_gateway.settings.composition import Settings
from torchserve_gateway.tuning.candidates import Candidate

Purpose = Literal["saturation", "race", "confirmation"]
# Share of the requests that may be late: the limit is on the 99th percentile.
LATE_SHARE = 0.01


class Plan(Settings):
    """A measurement to make; equal plans are measured once."""

    candidate: Candidate
    """The combination that serves."""
    purpose: Purpose
    """Saturation: clients that wait for answers; otherwise requests come when they are due."""
    rate: float | None
    """Requests a second; None: as many as are answered."""


class Window(Settings):
    """The result."""

    plan: Plan
    """The measurement that was made."""
    failure: str | None = None
    """Why nothing could be measured."""
    complete: bool = False
    """Whether it was not cut off; that happens once more than 1 % of the requests are late or failed."""
    requests: int = 0
    """Requests that were sent."""
    images_per_s: float = 0
    """Right answers a second."""
    p50_ms: float | None = None
    """Median of right answers from when they were due."""
    p99_ms: float | None = None
    """99th percentile of the same."""
    errors: dict[str, int] = Field(default_factory=dict)
    """Requests without a right answer, by kind."""
    generator_percent: float = 0
    """CPU time of the load generator, percent of a core."""

    def problem(self, limit_ms: float) -> str | None:
        """Why the combination does not do at this rate; None if it does."""
        if self.failure:
            return self.failure
        if self.errors:
            return ", ".join(f"{count} x {kind}" for kind, count in self.errors.items())
        if self.p99_ms is None:
            return "no answer"
        if not self.complete or self.p99_ms > limit_ms:
            return f"p99 above {limit_ms:g} ms"
        return None


def front(windows: Iterable[Window]) -> list[Window]:
    """The windows that no other beats in both images/s and p99, by images/s; failed ones left out."""
    valid = [each for each in windows if each.complete and each.p99_ms is not None and not each.errors]
    found: list[Window] = []
    for each in sorted(valid, key=lambda each: (-each.images_per_s, each.p99_ms)):
        if not found or (each.p99_ms or 0) < (found[-1].p99_ms or 0):
            found.append(each)
    return found[::-1]
