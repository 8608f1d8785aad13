"""When a canary is rolled back."""

import pytest

from torchserve_gateway.deployment.trial import find_problem
from torchserve_gateway.record.reports import VersionCounts
from torchserve_gateway.settings.deployment import Canary

BOUNDS = Canary(
    kind="canary",
    steps=[10],
    step_s=0,
    min_requests=20,
    step_timeout_s=60,
    max_error_rate_increase=0.05,
    max_latency_ratio=1.5,
)


def counts(answered: int, failed: int, latency_s: float = 0.1) -> VersionCounts:
    counted = VersionCounts(failed=failed)
    for _ in range(answered):
        counted.observe(latency_s)
    return counted


@pytest.mark.parametrize(
    ("new", "old", "said"),
    [
        (counts(100, 0), counts(100, 0), None),
        (counts(96, 4), counts(100, 0), None),
        (counts(90, 10), counts(100, 0), "failed 10 of 100 requests (10.0%, allowed 5.0%)"),
        # The old one fails as often, so the new one is not to blame.
        (counts(90, 10), counts(90, 10), None),
        (counts(0, 19), counts(100, 0), None),
        (counts(0, 20), counts(100, 0), "failed 20 of 20"),
        (counts(100, 0, latency_s=0.14), counts(100, 0), None),
        (counts(100, 0, latency_s=0.2), counts(100, 0), "max_latency_ratio = 1.5"),
        (counts(100, 0, latency_s=9), counts(0, 0), None),
    ],
)
def test_a_canary_is_judged_beside_the_old_version(
    new: VersionCounts, old: VersionCounts, said: str | None
) -> None:
    problem = find_problem(new, old, BOUNDS)
    assert (problem is None) if said is None else (said in str(problem))
