"""Stage VersionCounting: what a version does wrong counts, and nothing else."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, context, routing, ticks
from torchserve_gateway.gateway.prediction.stages import VersionCounting
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, RequestRefusedError, UnreachableError
from torchserve_gateway.torchserve_api.inference import Operation


@pytest.mark.parametrize(
    ("status", "failed"), [(200, 0), (204, 0), (302, 0), (404, 0), (422, 0), (500, 1), (503, 1)]
)
async def test_a_status_that_the_handler_sets_is_a_failure_from_500_on(status: int, failed: int) -> None:
    followed = routing()
    await VersionCounting(followed, NextStage(replace(ANSWER, status=status))).predict(JOB, context())
    counts = followed.counts_of("genre", "1.10")
    assert (counts.failed, counts.answered) == (failed, 1 - failed)


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (UnreachableError("gone"), 1),
        (ModelNotFoundError(404, "", "not there"), 1),
        (RequestRefusedError(415, "", "no image"), 0),
        (asyncio.CancelledError(), 0),
    ],
)
async def test_only_failures_of_the_version_count(error: BaseException, failed: int) -> None:
    followed = routing()
    with pytest.raises(type(error)):
        await VersionCounting(followed, NextStage(error)).predict(JOB, context())
    counts = followed.counts_of("genre", "1.10")
    assert (counts.in_flight, counts.failed, counts.answered) == (0, failed, 0)


@pytest.mark.parametrize("outcome", [ANSWER, replace(ANSWER, status=500), UnreachableError("gone")])
async def test_an_explanation_does_not_judge_its_version(outcome: object) -> None:
    followed = routing()
    stage = VersionCounting(followed, NextStage(outcome))  # type: ignore[arg-type]
    await asyncio.gather(stage.predict(replace(JOB, operation="explain"), context()), return_exceptions=True)
    counts = followed.counts_of("genre", "1.10")
    assert (counts.in_flight, counts.failed, counts.answered) == (0, 0, 0)


@pytest.mark.parametrize("operation", ["predict", "explain"])
async def test_a_job_is_in_flight_until_it_is_answered(operation: Operation) -> None:
    followed, later = routing(), NextStage()
    later.go.clear()
    job = replace(JOB, operation=operation)
    asked = asyncio.create_task(VersionCounting(followed, later).predict(job, context()))
    await ticks()
    assert followed.counts_of("genre", "1.10").in_flight == 1
    later.go.set()
    await asked
    assert followed.counts_of("genre", "1.10").in_flight == 0
