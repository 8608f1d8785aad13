"""The search: every combination has to beat the best so far, in one short measurement, or is out.

The search depends on nothing but its measurements, so with remembered ones it arrives where it was.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torchserve_gateway.tuning.candidates import Candidate, Space
from torchserve_gateway.tuning.journal import OutOfTimeError
from torchserve_gateway.tuning.windows import Plan, Window

Measure = Callable[[Plan], Window]

# First rate of a combination that has nothing to beat, as a share of what it answers to waiting clients.
FIRST_SHARE = 0.7
STEP = 1.25
MAX_STEP = 4.0
# Steps down from the first rate.
MAX_DOWN = 6
# Ratio of a rate that fails to one that holds at which the search between them ends.
RESOLUTION = 1.06


@dataclass(frozen=True)
class Rules:
    """Bounds of a race."""

    p99_ms: float
    """Limit of the 99th percentile."""
    trials: int
    """Combinations to try."""
    min_gain: float
    """Ratio to the best rate at which the next combination is tried."""


@dataclass
class Race:
    """A search from the present combination on."""

    space: Space
    start: Candidate
    measure: Measure
    rules: Rules
    held: dict[Candidate, float] = field(default_factory=dict)
    """Highest rate within the limit, requests a second, by combination."""
    tried: list[Candidate] = field(default_factory=list)
    """Combinations in their order."""
    is_over: bool = False
    """Whether it ended by itself, not because its time was over."""

    @property
    def best(self) -> Candidate | None:
        """The combination with the highest rate; None: no combination is within the limit."""
        return max(self.held, key=lambda each: self.held[each], default=None)

    def run(self) -> None:
        """Tries combinations until none is left, there were enough, or the time is over."""
        try:
            following: Candidate | None = self.start
            while following and len(self.tried) < self.rules.trials:
                self.tried.append(following)
                rate = self._climb(following)
                if rate:
                    self.held[following] = rate
                following = self._following()
            self.is_over = True
        except OutOfTimeError:
            pass

    def _following(self) -> Candidate | None:
        """A neighbour of the best; then any. Other threads last: they need a restart of TorchServe."""
        candidates = [*self.space.neighbours(self.best or self.start)]
        candidates.sort(key=lambda each: each.threads != self.tried[-1].threads)
        return next((each for each in [*candidates, *self.space.all()] if each not in self.tried), None)

    def _climb(self, candidate: Candidate) -> float | None:
        """The highest rate at which the combination holds; None: it does not beat the best."""
        first = self._first_rate(candidate)
        if first is None:
            return None
        rate, step, low, high = first, STEP, None, None
        down = 0 if self.held else MAX_DOWN
        while low is None or high is None or high / low > RESOLUTION:
            window = self.measure(Plan(candidate=candidate, purpose="race", rate=rate))
            if window.problem(self.rules.p99_ms) is None:
                low = rate
            elif window.failure or (low is None and down == 0):
                return low
            else:
                high, down = rate, down - (low is None)
            if high is None:
                rate, step = rate * step, min(step * step, MAX_STEP)
            else:
                rate = math.sqrt(low * high) if low else high / STEP / STEP
        return low

    def _first_rate(self, candidate: Candidate) -> float | None:
        if self.held:
            return max(self.held.values()) * self.rules.min_gain
        saturated = self.measure(Plan(candidate=candidate, purpose="saturation", rate=None))
        return saturated.images_per_s * FIRST_SHARE or None
