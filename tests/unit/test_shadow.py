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


@pytest.mark.parametrize(
    ("real", "copied", "is_same"),
    [
        (b'[{"class": "face", "x": [1, 2]}]', b'[{"class": "face", "x": [1.005, 2]}]', True),
        (b'[{"class": "face", "x": [1, 2]}]', b'[{"class": "face", "x": [1.02, 2]}]', False),
        (b'[{"class": "face"}]', b'[{"class": "eye"}]', False),
        (b"[1]", b"[1, 1]", False),
        (b'{"a": {"b": 1}}', b'{"a": {"c": 1}}', False),
        (b'{"a": [true]}', b'{"a": [1]}', False),
        (b"[]", b"[]", True),
        (b"{}", b"{}", True),
        (b"7", b"7.001", True),
        (b"a cat", b"a cat", True),
        (b"a cat", b"a dog", False),
        (b"\xff\x00", b"\xff\x00", True),
        (b"\xff\x00", b"[]", False),
    ],
)
async def test_answers_of_any_kind_are_compared(real: bytes, copied: bytes, is_same: bool) -> None:
    made = shadowed(NextStage(replace(ANSWER, body=copied)), replace(ANSWER, body=real))
    await made.stage.predict(JOB, context())
    await ticks()
    expected = Comparison(compared=1, same_class=int(is_same), within_tolerance=int(is_same))
    assert made.comparison == expected


async def test_numbers_too_large_to_compare_count_as_failed() -> None:
    made = shadowed(NextStage(replace(ANSWER, body=b"[0.5]")), replace(ANSWER, body=b"[1%s]" % (b"0" * 400)))
    await made.stage.predict(JOB, context())
    await ticks()
    assert made.comparison == Comparison(failed=1)


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
