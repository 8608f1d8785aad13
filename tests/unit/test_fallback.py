"""Stage Fallback: a TorchServe that lacks the version on record still answers."""

from dataclasses import dataclass, replace

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, context
from torchserve_gateway.gateway.prediction.stages import Fallback
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError, UnreachableError

NOT_THERE = ModelNotFoundError(404, "ModelVersionNotFoundException", "not there")


@dataclass
class Record:
    """Counts how often it is read."""

    reads: int = 0

    async def refresh(self) -> None:
        self.reads += 1


async def test_torchserves_own_default_answers_for_a_version_that_is_not_there() -> None:
    record, later = Record(), NextStage(NOT_THERE, ANSWER)
    assert await Fallback(record.refresh, later).predict(JOB, context()) is ANSWER
    assert later.jobs == [JOB, replace(JOB, version=None)]
    assert record.reads == 1


@pytest.mark.parametrize(
    ("version", "requested", "error"),
    [("1.10", "1.10", NOT_THERE), (None, None, NOT_THERE), ("1.10", None, UnreachableError("gone"))],
    ids=["version of the client", "no version", "another failure"],
)
async def test_every_other_failure_is_passed_on(
    version: str | None, requested: str | None, error: Exception
) -> None:
    record, later = Record(), NextStage(error)
    with pytest.raises(type(error)):
        await Fallback(record.refresh, later).predict(
            replace(JOB, version=version), context(requested=requested)
        )
    assert (len(later.jobs), record.reads) == (1, 0)


async def test_a_model_without_a_default_is_not_found() -> None:
    later = NextStage(NOT_THERE)
    with pytest.raises(ModelNotFoundError):
        await Fallback(Record().refresh, later).predict(JOB, context())
    assert len(later.jobs) == 2
