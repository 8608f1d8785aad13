"""Stage Loading: a request for a version whose workers load is told so, and TorchServe is asked rarely."""

import asyncio
from dataclasses import dataclass, field

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, Outcome, context, ticks
from torchserve_gateway.gateway.deployed import worker_watch
from torchserve_gateway.gateway.deployed.worker_watch import WorkerWatch
from torchserve_gateway.gateway.errors import NotReadyError
from torchserve_gateway.gateway.prediction.stages import Loading
from torchserve_gateway.torchserve_api.errors import HandlerFailedError, NotConnectedError


@dataclass
class Workers:
    """Load until they are told to be READY; counts how often they are looked at."""

    loading: bool = True
    looks: list[tuple[str, str | None]] = field(default_factory=list)

    async def are_loading(self, model: str, version: str | None) -> bool:
        self.looks.append((model, version))
        await asyncio.sleep(0)
        return self.loading


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come at once for a new version, and for others not while a test runs."""
    monkeypatch.setattr(worker_watch, "FIRST_LOOK_AFTER_S", 0.0)
    monkeypatch.setattr(worker_watch, "LOOK_AFTER_S", 3600.0)


def stage(workers: Workers, *outcomes: Outcome, answers: bool = False) -> tuple[Loading, NextStage]:
    torchserve = NextStage(*outcomes)
    if not answers:
        torchserve.go.clear()
    return Loading(WorkerWatch(workers.are_loading), torchserve), torchserve


async def test_requests_that_wait_for_workers_that_load_are_refused_after_one_look() -> None:
    workers = Workers()
    loading, torchserve = stage(workers)
    asked = [loading.predict(JOB, context()) for _ in range(5)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {str(each) for each in answers} == {
        "genre 1.10 is loading: none of its workers is READY yet; ask again in a few seconds"
    }
    assert {type(each) for each in answers} == {NotReadyError}
    assert workers.looks == [("genre", "1.10")]
    assert len(torchserve.jobs) == 5


async def test_the_next_requests_are_refused_and_not_sent_until_a_worker_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers = Workers()
    loading, torchserve = stage(workers)
    for _ in range(3):
        with pytest.raises(NotReadyError):
            await loading.predict(JOB, context())
    assert (len(torchserve.jobs), len(workers.looks)) == (1, 1)
    monkeypatch.setattr(worker_watch, "LOOK_AGAIN_S", 0.0)
    with pytest.raises(NotReadyError):
        await loading.predict(JOB, context())
    assert (len(torchserve.jobs), len(workers.looks)) == (1, 2)
    workers.loading = False
    torchserve.go.set()
    assert await loading.predict(JOB, context()) is ANSWER
    assert len(workers.looks) == 3


async def test_a_slow_answer_of_a_worker_that_is_ready_is_waited_for() -> None:
    workers = Workers(loading=False)
    loading, torchserve = stage(workers)
    slow = asyncio.create_task(loading.predict(JOB, context()))
    for _ in range(100):
        await ticks()
    assert workers.looks
    torchserve.go.set()
    assert await slow is ANSWER


async def test_nothing_is_asked_for_a_version_that_has_answered_until_torchserve_was_gone() -> None:
    workers = Workers()
    loading, torchserve = stage(workers, ANSWER, NotConnectedError("gone"), ANSWER, answers=True)
    assert await loading.predict(JOB, context()) is ANSWER
    assert workers.looks == []
    with pytest.raises(NotConnectedError):
        await loading.predict(JOB, context())
    torchserve.go.clear()
    with pytest.raises(NotReadyError):
        await loading.predict(JOB, context())
    assert len(workers.looks) == 1


async def test_other_failures_and_time_outs_are_passed_on() -> None:
    for failure in (HandlerFailedError(503, "x", "failed"), TimeoutError()):
        loading, _ = stage(Workers(loading=False), failure, answers=True)
        with pytest.raises(type(failure)):
            await loading.predict(JOB, context())
