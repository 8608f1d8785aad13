"""Stage Shadow: copies are compared and counted, and no client waits for them or sees them."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from tests.unit.stages import ANSWER, JOB, NextStage, context, routing, ticks
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.background_tasks import BackgroundTasks
from torchserve_gateway.gateway.prediction.stages import Shadow
from torchserve_gateway.record.record import Trial
from torchserve_gateway.record.reports import Comparison
from torchserve_gateway.torchserve_api.errors import HandlerFailedError
from torchserve_gateway.torchserve_api.inference import Prediction


@dataclass
class Shadowed:
    """A stage with what is around it."""

    stage: Shadow
    real: NextStage
    copy: NextStage
    routing: Routing

    @property
    def comparison(self) -> Comparison:
        """Of the version on trial."""
        return self.routing.counts_of("genre", "2.0").shadow


def shadowed(copy: NextStage, real: Prediction = ANSWER, max_copies: int = 8) -> Shadowed:
    followed, later = routing(trial=Trial(kind="shadow", version="2.0", share=1.0)), NextStage(real)
    stage = Shadow(followed, BackgroundTasks(), max_copies, 0.01, copy, later)
    return Shadowed(stage, later, copy, followed)


def answer(**probabilities: float) -> Prediction:
    body = ", ".join(f'"{label}": {value}' for label, value in probabilities.items())
    return replace(ANSWER, body=f"{{{body}}}".encode())


async def test_the_client_gets_the_answer_while_the_copy_is_on_its_way() -> None:
    made = shadowed(NextStage())
    made.copy.go.clear()
    assert await made.stage.predict(JOB, context()) is ANSWER
    await ticks()
    assert [job.version for job in made.copy.jobs] == ["2.0"]
    assert made.comparison.compared == 0
    made.copy.go.set()
    await ticks()
    assert made.comparison == Comparison(compared=1, same_class=1, within_tolerance=1)


@pytest.mark.parametrize(
    ("copied", "expected"),
    [
        (answer(Horror=0.695, Crime=0.305), Comparison(compared=1, same_class=1, within_tolerance=1)),
        (answer(Horror=0.6, Crime=0.4), Comparison(compared=1, same_class=1)),
        (answer(Horror=0.3, Crime=0.7), Comparison(compared=1)),
        (answer(Horror=0.7, Drama=0.3), Comparison(compared=1, same_class=1)),
        (replace(ANSWER, body=b"[]"), Comparison(failed=1)),
        (replace(ANSWER, status=500), Comparison(failed=1)),
        (HandlerFailedError(503, "", "failed"), Comparison(failed=1)),
    ],
)
async def test_a_copy_is_compared_with_the_answer(
    copied: Prediction | Exception, expected: Comparison
) -> None:
    made = shadowed(NextStage(copied), answer(Horror=0.7, Crime=0.3))
    await made.stage.predict(JOB, context())
    await ticks()
    assert made.comparison == expected


async def test_more_copies_than_allowed_are_skipped() -> None:
    made = shadowed(NextStage(), max_copies=1)
    made.copy.go.clear()
    for _ in range(3):
        await made.stage.predict(JOB, context())
    await ticks()
    assert (len(made.copy.jobs), made.comparison.skipped) == (1, 2)
    made.copy.go.set()
    await asyncio.wait_for(made.stage.copies.close(), 5)


@pytest.mark.parametrize("real", [replace(ANSWER, cache="hit"), replace(ANSWER, status=422)])
async def test_kept_and_failed_answers_are_not_compared(real: Prediction) -> None:
    made = shadowed(NextStage(), real)
    await made.stage.predict(JOB, context())
    await ticks()
    assert made.copy.jobs == []


async def test_a_requested_version_and_an_explanation_are_not_copied() -> None:
    made = shadowed(NextStage())
    await made.stage.predict(JOB, context(requested="1.10"))
    await made.stage.predict(replace(JOB, operation="explain"), context())
    await ticks()
    assert made.copy.jobs == []
    assert len(made.real.jobs) == 2
