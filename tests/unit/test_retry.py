"""Stage Retry: a job that never ran is sent again, any other job is not."""

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, context
from torchserve_gateway.gateway.prediction.stages import Retry
from torchserve_gateway.torchserve_api.errors import (
    HandlerFailedError,
    NoCapacityError,
    NotConnectedError,
    UnreachableError,
)

FULL = NoCapacityError(503, "ServiceUnavailableException", "no worker")


@pytest.mark.parametrize("error", [FULL, NotConnectedError("refused")])
async def test_a_job_that_never_ran_is_sent_again(error: Exception) -> None:
    later = NextStage(error, error, ANSWER)
    assert await Retry(3, later).predict(JOB, context()) is ANSWER
    assert later.jobs == [JOB] * 3


async def test_the_last_attempt_decides() -> None:
    later = NextStage(FULL)
    with pytest.raises(NoCapacityError):
        await Retry(2, later).predict(JOB, context())
    assert len(later.jobs) == 2


@pytest.mark.parametrize(
    "error", [UnreachableError("reset"), HandlerFailedError(503, "InternalServerException", "failed")]
)
async def test_a_job_that_may_have_run_is_not_sent_again(error: Exception) -> None:
    later = NextStage(error, ANSWER)
    with pytest.raises(type(error)):
        await Retry(3, later).predict(JOB, context())
    assert len(later.jobs) == 1


async def test_a_job_without_time_for_a_pause_is_not_sent_again() -> None:
    later = NextStage(FULL)
    with pytest.raises(NoCapacityError):
        await Retry(1000, later).predict(JOB, context(left_s=0.01))
    assert len(later.jobs) == 1
