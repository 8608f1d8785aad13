"""Stage Deadline: a job whose time is over goes no further."""

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, context
from torchserve_gateway.gateway.prediction.stages import Deadline
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError


async def test_a_job_with_time_left_passes() -> None:
    later = NextStage()
    assert await Deadline(later).predict(JOB, context()) is ANSWER
    assert later.jobs == [JOB]


async def test_a_job_whose_time_is_over_is_not_sent() -> None:
    later, late = NextStage(), context(left_s=-1)
    late.started = late.deadline - 2.5
    with pytest.raises(DeadlineExceededError, match=r"the request's 2\.5 s were over"):
        await Deadline(later).predict(JOB, late)
    assert later.jobs == []
