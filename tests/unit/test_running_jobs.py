"""Stage RunningJobs: a job keeps its slot until it has ended, whether or not its request has."""

import asyncio
from dataclasses import dataclass

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, Outcome, context, routing, ticks
from torchserve_gateway.gateway.deployed.served_models import ServedModels
from torchserve_gateway.gateway.errors import OverloadedError
from torchserve_gateway.gateway.prediction.admission import Admission, AnyLane
from torchserve_gateway.gateway.prediction.background_tasks import BackgroundTasks
from torchserve_gateway.gateway.prediction.stages import RunningJobs
from torchserve_gateway.settings.composition import load
from torchserve_gateway.settings.gateway import AdmissionSettings
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.errors import DeadlineExceededError, UnreachableError


@dataclass
class Running:
    """A stage with one slot and one place to wait."""

    stage: RunningJobs
    torchserve: NextStage

    @property
    def lane(self) -> AnyLane:
        """The model's slots."""
        return self.stage.admission.lane("genre")


def running(*outcomes: Outcome, max_wait_s: float = 60) -> Running:
    limits = AdmissionSettings(max_in_flight=1, max_waiting=1, max_wait_s=max_wait_s)
    models = ServedModels(load("gateway", ProjectSettings, []))
    torchserve = NextStage(*outcomes)
    torchserve.go.clear()
    return Running(
        RunningJobs(Admission(limits, routing(), models), BackgroundTasks(), lambda _: 30, torchserve),
        torchserve,
    )


async def test_the_answer_says_how_long_the_job_waited() -> None:
    made = running()
    made.torchserve.go.set()
    answer = await made.stage.predict(JOB, context())
    assert answer.body == ANSWER.body
    assert answer.admission_s is not None
    assert made.lane.in_flight == 0


async def test_a_failed_job_frees_its_slot() -> None:
    made = running(UnreachableError("gone"))
    made.torchserve.go.set()
    with pytest.raises(UnreachableError):
        await made.stage.predict(JOB, context())
    assert made.lane.in_flight == 0


async def test_a_slot_is_kept_after_the_clients_deadline_until_torchserve_answers() -> None:
    made = running()
    with pytest.raises(DeadlineExceededError, match="TorchServe did not answer within"):
        await made.stage.predict(JOB, context(left_s=0.05))
    assert made.lane.in_flight == 1
    made.torchserve.go.set()
    await ticks()
    assert made.lane.in_flight == 0


async def test_a_slot_is_kept_after_the_client_has_left() -> None:
    made = running()
    leaving = asyncio.create_task(made.stage.predict(JOB, context()))
    await ticks()
    leaving.cancel()
    await ticks()
    assert (leaving.cancelled(), made.lane.in_flight) == (True, 1)
    made.torchserve.go.set()
    await ticks()
    assert made.lane.in_flight == 0


async def test_a_client_that_leaves_while_it_waits_gives_up_its_place() -> None:
    made = running()
    first, leaving = (asyncio.create_task(made.stage.predict(JOB, context())) for _ in range(2))
    await ticks()
    assert (made.lane.in_flight, made.lane.waiting) == (1, 1)
    leaving.cancel()
    await ticks()
    assert (made.lane.in_flight, made.lane.waiting) == (1, 0)
    made.torchserve.go.set()
    await first
    assert len(made.torchserve.jobs) == 1


async def test_a_job_has_the_longest_time_whatever_its_client_asks_for() -> None:
    made = running()
    made.torchserve.go.set()
    await made.stage.predict(JOB, context(left_s=5))
    [at_torchserve] = made.torchserve.contexts
    assert at_torchserve.left_s > 5


@pytest.mark.parametrize(
    ("left_s", "max_wait_s", "error"),
    [(60, 0.01, OverloadedError), (0.01, 60, DeadlineExceededError)],
    ids=["longest wait", "own deadline"],
)
async def test_a_job_whose_turn_does_not_come_is_not_sent(
    left_s: float, max_wait_s: float, error: type[Exception]
) -> None:
    made = running(max_wait_s=max_wait_s)
    first = asyncio.create_task(made.stage.predict(JOB, context()))
    await ticks()
    with pytest.raises(error, match="1 requests"):
        await made.stage.predict(JOB, context(left_s))
    made.torchserve.go.set()
    await first
    assert len(made.torchserve.jobs) == 1
