"""Stage Isolation: the neighbours of a request that fails its batch get their answers, at bounded cost."""

import asyncio
from dataclasses import replace

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, context, routing
from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.stages import Isolation, IsolationCounts
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.record.record import DeployedModel, Record
from torchserve_gateway.torchserve_api.errors import HandlerFailedError, WorkerDiedError
from torchserve_gateway.torchserve_api.inference import Job, Prediction

FAILED = HandlerFailedError(503, "InternalServerException", "Prediction failed")
GOOD, BAD = JOB, replace(JOB, body=b"bad")
# As handlers send it that raise ts.utils.util.PredictionException.
REFUSED = replace(
    ANSWER, status=400, body=b'{"code": 400, "type": "InternalServerException", "message": "bad input"}'
)


class OneBatch:
    """A worker that takes all waiting jobs as a batch, and fails a batch with a bad job in it."""

    def __init__(self, failure: HandlerFailedError | Prediction) -> None:
        self.batches: list[list[Job]] = []
        self._failure = failure
        self._waiting: list[Job] = []

    async def predict(self, job: Job, _: RequestContext) -> Prediction:
        self._waiting.append(job)
        await asyncio.sleep(0)
        if self._waiting:
            self.batches.append(self._waiting)
            self._waiting = []
        batch = next(each for each in reversed(self.batches) if any(other is job for other in each))
        await asyncio.sleep(0)
        if all(each.body != b"bad" for each in batch):
            return ANSWER
        if isinstance(self._failure, Prediction):
            return self._failure
        raise self._failure


async def outcomes(stage: Isolation, *jobs: Job) -> list[object]:
    found = await asyncio.gather(*(stage.predict(each, context()) for each in jobs), return_exceptions=True)
    return [each.status if isinstance(each, Prediction) else type(each) for each in found]


def jobs(*bodies: bytes) -> list[Job]:
    return [replace(JOB, body=each) for each in bodies]


@pytest.mark.parametrize(("failure", "bad"), [(FAILED, HandlerFailedError), (REFUSED, 400)])
async def test_the_bad_request_of_a_batch_fails_alone(
    failure: HandlerFailedError | Prediction, bad: object
) -> None:
    worker, counts = OneBatch(failure), IsolationCounts()
    stage = Isolation(routing(), 32, counts, worker)
    assert await outcomes(stage, *jobs(b"1", b"2", b"bad", b"4")) == [200, 200, bad, 200]
    assert [len(batch) for batch in worker.batches] == [4, 1, 1, 1, 1]
    assert counts.results == {"answered": 3, "failed": 1, "skipped": 0}


async def test_a_job_without_company_is_not_repeated() -> None:
    later, counts = NextStage(FAILED), IsolationCounts()
    stage = Isolation(routing(), 32, counts, later)
    for _ in range(3):
        assert await outcomes(stage, GOOD) == [HandlerFailedError]
    assert len(later.jobs) == 3
    assert not any(counts.results.values())


async def test_a_job_may_have_had_company_from_another_process() -> None:
    later, counts = NextStage(FAILED, ANSWER), IsolationCounts()
    stage = Isolation(routing(), 32, counts, later, processes=2)
    assert await outcomes(stage, GOOD) == [200]
    assert counts.results["answered"] == 1


async def test_a_flood_of_bad_requests_adds_few_jobs() -> None:
    worker, counts = OneBatch(FAILED), IsolationCounts()
    stage = Isolation(routing(), 4, counts, worker)
    assert await outcomes(stage, *jobs(*[b"bad"] * 100)) == [HandlerFailedError] * 100
    assert [len(batch) for batch in worker.batches] == [100, 1, 1, 1, 1]
    assert counts.results == {"answered": 0, "failed": 4, "skipped": 96}


async def test_a_worker_that_died_is_not_asked_again() -> None:
    later = NextStage(WorkerDiedError(500, "InternalServerException", "Worker died."))
    found = await outcomes(Isolation(routing(), 32, IsolationCounts(), later), *jobs(b"1", b"2"))
    assert found == [WorkerDiedError] * 2
    assert len(later.jobs) == 2


def serving(**changes: object) -> Routing:
    found = Routing()
    version = VERSION.model_copy(update=changes)
    found.record = Record(revision=1, models={"genre": DeployedModel(serving=version)})
    return found


@pytest.mark.parametrize(
    "unrepeatable",
    [serving(idempotent=False), serving(batch_size=1), Routing()],
    ids=["unsafe", "single", "unknown"],
)
async def test_only_idempotent_models_on_record_that_batch_are_asked_again(unrepeatable: Routing) -> None:
    later = NextStage(FAILED)
    found = await outcomes(Isolation(unrepeatable, 32, IsolationCounts(), later), *jobs(b"1", b"2"))
    assert found == [HandlerFailedError] * 2
    assert len(later.jobs) == 2


async def test_explanations_are_not_repeated() -> None:
    later = NextStage(FAILED)
    asked = [replace(each, operation="explain") for each in jobs(b"1", b"2")]
    assert (
        await outcomes(Isolation(routing(), 32, IsolationCounts(), later), *asked) == [HandlerFailedError] * 2
    )
    assert len(later.jobs) == 2
