"""The outcome of a search, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from torchserve_gateway.tuning.candidates import Candidate
from torchserve_gateway.tuning.windows import Window

# A generator that is busier sends late and reads late, so that latencies are partly its own.
DOUBTFUL_CPU_PERCENT = 70
COLUMNS = ("batch_size", "max_batch_delay", "workers", "threads", "images/s", "p50 ms", "p99 ms", "", "")


@dataclass(frozen=True)
class Result:
    """Everything that a search measured, and what it chose."""

    model: str
    """Name and version."""
    limit_ms: float
    """Limit of the 99th percentile."""
    cores: int
    """Cores that this process may use."""
    start: Candidate
    """The combination of the model's file."""
    windows: Sequence[Window]
    """All measurements in their order."""
    confirmed: Sequence[Window] = ()
    """Confirmed combinations, the best first."""
    ended: str = ""
    """Why the search ended before its end; empty if it did not."""

    @property
    def chosen(self) -> Window | None:
        """The best; None: no combination is confirmed."""
        return next(iter(self.confirmed), None)

    @property
    def machine(self) -> str:
        """The sentence about what the figures are worth."""
        busiest = max((each.generator_percent for each in self.windows), default=0.0)
        return (
            f"This machine gives {self.cores} core{'s' if self.cores > 1 else ''}, which clients, gateway "
            f"and TorchServe shared; the clients took at most {busiest:.0f} % of a core. With the clients "
            "elsewhere the figures are higher: compare them with each other."
        )

    @property
    def warning(self) -> str | None:
        """The warning that the load generator falsifies; None: it does not."""
        busy = [each for each in self.windows if each.generator_percent > DOUBTFUL_CPU_PERCENT]
        if not busy:
            return None
        return (
            f"{len(busy)} of {len(self.windows)} measurements are partly the load generator's own: it took "
            f"more than {DOUBTFUL_CPU_PERCENT} % of a core, and sent and read late"
        )

    def rows(self) -> list[tuple[str, ...]]:
        """A row of COLUMNS for each combination, with its best measurement, the best first."""
        by_candidate: dict[Candidate, list[Window]] = {}
        for window in self.windows:
            by_candidate.setdefault(window.plan.candidate, []).append(window)
        rows = [(candidate, self._shown(windows)) for candidate, windows in by_candidate.items()]
        rows.sort(key=lambda row: (row[1].problem(self.limit_ms) is not None, -row[1].images_per_s))
        return [self._row(candidate, window) for candidate, window in rows]

    def _shown(self, windows: Sequence[Window]) -> Window:
        candidate = windows[0].plan.candidate
        final = [each for each in self.confirmed if each.plan.candidate == candidate]
        raced = [each for each in windows if each.plan.rate] or windows
        held = [each for each in raced if each.problem(self.limit_ms) is None]
        return max(final or held or raced[-1:], key=lambda each: each.images_per_s)

    def _row(self, candidate: Candidate, window: Window) -> tuple[str, ...]:
        problem = window.problem(self.limit_ms)
        marks = [
            *(["chosen"] if self.chosen and self.chosen.plan.candidate == candidate else []),
            *(["present"] if candidate == self.start else []),
        ]
        return (
            *(str(value) for value in candidate.model_dump().values()),
            "-" if window.failure else f"{window.images_per_s:.1f}",
            *("-" if each is None else f"{each:.0f}" for each in (window.p50_ms, window.p99_ms)),
            problem or (window.plan.purpose if window.plan.purpose == "confirmation" else "holds"),
            ", ".join(marks),
        )


def line(window: Window, limit_ms: float) -> str:
    """A measurement in a line."""
    rate = f"{window.plan.rate:.1f}/s asked" if window.plan.rate else "closed loop"
    figures = (
        "" if window.p99_ms is None else f"  {window.images_per_s:.1f} images/s  p99 {window.p99_ms:.0f} ms"
    )
    problem = window.problem(limit_ms) if window.plan.rate or window.failure else "saturated"
    verdict = "holds" if problem is None else problem
    busy = window.generator_percent > DOUBTFUL_CPU_PERCENT
    doubt = f"  (load generator: {window.generator_percent:.0f} % of a core)" if busy else ""
    return f"{window.plan.candidate!s:<34} {rate:<16}{figures}  {verdict}{doubt}"
