"""Stage Breaker: TorchServe is left alone while it cannot be reached, and only then."""

from dataclasses import dataclass

import pytest

from tests.unit.stages import JOB, NextStage, Outcome, context
from torchserve_gateway.gateway.errors import UpstreamDownError
from torchserve_gateway.gateway.prediction.circuit import Circuit
from torchserve_gateway.gateway.prediction.stages import Breaker
from torchserve_gateway.torchserve_api.errors import (
    DeadlineExceededError,
    HandlerFailedError,
    InvalidRequestError,
    NotConnectedError,
    UnreachableError,
)

REFUSED = NotConnectedError("refused")


@dataclass
class Health:
    """TorchServe's health."""

    error: Exception | None = None

    async def __call__(self, _: float) -> bytes:
        if self.error:
            raise self.error
        return b"{}"


async def sent(*outcomes: Outcome, health: Health | None = None, requests: int) -> int:
    """How many of the requests reach TorchServe, with a breaker that opens after two failures."""
    later = NextStage(*outcomes)
    breaker = Breaker(Circuit(2, open_s=3600), health or Health(), later)
    for _ in range(requests):
        with pytest.raises(Exception):  # noqa: B017, PT011 - each outcome has its own
            await breaker.predict(JOB, context())
    return len(later.jobs)


async def test_an_open_breaker_refuses_without_asking() -> None:
    later = NextStage(REFUSED)
    breaker = Breaker(Circuit(2, open_s=3600), Health(), later)
    for _ in range(2):
        with pytest.raises(NotConnectedError):
            await breaker.predict(JOB, context())
    with pytest.raises(UpstreamDownError):
        await breaker.predict(JOB, context())
    assert len(later.jobs) == 2


@pytest.mark.parametrize(
    "error",
    [
        HandlerFailedError(503, "InternalServerException", "failed"),
        DeadlineExceededError("late"),
        InvalidRequestError("not ASCII"),
    ],
)
async def test_failures_that_do_not_mean_an_outage_leave_it_closed(error: Exception) -> None:
    assert await sent(error, requests=5) == 5


async def test_an_answer_between_failures_keeps_it_closed() -> None:
    failed = HandlerFailedError(503, "InternalServerException", "failed")
    assert await sent(REFUSED, failed, REFUSED, failed, requests=5) == 5


@pytest.mark.parametrize(
    ("health", "reaching"),
    [(Health(), 4), (Health(UnreachableError("reset")), 2), (Health(DeadlineExceededError("late")), 4)],
    ids=["healthy", "gone", "slow"],
)
async def test_a_broken_connection_is_an_outage_only_if_health_cannot_be_asked(
    health: Health, reaching: int
) -> None:
    assert await sent(UnreachableError("reset"), health=health, requests=4) == reaching
