"""The end of a search: the best combinations are measured again, longer, since a race rewards luck."""

from dataclasses import replace

from torchserve_gateway.tuning.candidates import Candidate
from torchserve_gateway.tuning.journal import OutOfTimeError
from torchserve_gateway.tuning.race import RESOLUTION, Measure, Race
from torchserve_gateway.tuning.result import Result
from torchserve_gateway.tuning.windows import Plan, Purpose, Window

AGAIN = "make tune again goes on"
MAX_CONFIRMATIONS = 3


def finals(result: Result, race: Race, measure: Measure, min_gain: float) -> Result:
    """Confirms the best, the best with the present threads, and the present combination.

    A combination that does not hold any more makes room for the next.
    """
    ranked = sorted(race.held, key=lambda each: -race.held[each])
    same_threads = [each for each in ranked if each.threads == result.start.threads]
    present = [each for each in ranked if each == result.start]
    found: dict[Candidate, Window | None] = {}
    try:
        for candidates in (ranked, same_threads, present):
            for each in candidates:
                if each not in found:
                    found[each] = confirmed(each, race.held[each], measure, result.limit_ms)
                if found[each]:
                    break
    except OutOfTimeError:
        return replace(result, ended=f"the time was over before the best was confirmed; {AGAIN}")
    # What is no clear gain is no reason for a change.
    handicap = {result.start: min_gain}
    windows = [each for each in found.values() if each]
    windows.sort(key=lambda each: -each.images_per_s * handicap.get(each.plan.candidate, 1))
    return replace(result, confirmed=windows)


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
