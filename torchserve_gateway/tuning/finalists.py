"""The end of a search: the best combinations are measured again, longer, since a race rewards luck."""

from dataclasses import replace

from torchserve_gateway.tuning.candidates import Candidate
from torchserve_gateway.tuning.journal import OutOfTimeError
from torchserve_gateway.tuning.race import RESOLUTION, Measure, Race
from torchserve_gateway.tuning.result import Result
from torchserve_gateway.tuning.windows import Plan, Purpose, Window

AGAIN = "make tune again goes on"
MAX_CONFIRMATIONS = 4


def finals(result: Result, race: Race, measure: Measure, min_gain: float) -> Result:
    """Measures again, longer: the best, the best with the present threads, and the present combination."""
    same_threads = {each: rate for each, rate in race.held.items() if each.threads == result.start.threads}
    best_of_these = max(same_threads, key=lambda each: same_threads[each], default=None)
    found: list[Window] = []
    try:
        for each in dict.fromkeys((race.best, best_of_these, result.start)):
            rate = race.held.get(each) if each else None
            window = confirmed(each, rate, measure, result.limit_ms) if each and rate else None
            found += [window] if window else []
    except OutOfTimeError:
        return replace(result, ended=f"the time was over before the best was confirmed; {AGAIN}")
    # What is no clear gain is no reason for a change.
    handicap = {result.start: min_gain}
    found.sort(key=lambda each: -each.images_per_s * handicap.get(each.plan.candidate, 1))
    return replace(result, confirmed=found)


def confirmed(candidate: Candidate, rate: float, measure: Measure, p99_ms: float) -> Window | None:
    """A longer measurement at the rate that the race found, and lower ones until one holds.

    Returns:
        the measurement that holds; None: none does.

    Raises:
        OutOfTimeError: the time is over.
    """
    purpose: Purpose = "confirmation"
    for _ in range(MAX_CONFIRMATIONS):
        window = measure(Plan(candidate=candidate, purpose=purpose, rate=rate))
        if window.problem(p99_ms) is None:
            return window
        rate /= RESOLUTION
    return None
