"""Stage: asks again where a neighbour in the batch may have made the handler fail."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.prediction.stage import Stage
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.torchserve_api.errors import HandlerFailedError
from torchserve_gateway.torchserve_api.handler_answers import fails_the_batch
from torchserve_gateway.torchserve_api.inference import Job, Prediction

Result = Literal["answered", "failed", "skipped"]


@dataclass(slots=True)
class IsolationCounts:
    """Jobs of failed batches since the gateway's start."""

    results: dict[Result, int] = field(
        default_factory=lambda: dict.fromkeys(("answered", "failed", "skipped"), 0)
    )
    """By the end of their repeat; skipped: too many waited for theirs."""


@dataclass(slots=True)
class _Traffic:
    """Jobs of one model."""

    in_flight: int = 0
    """With TorchServe."""
    sent: int = 0
    """Since the gateway's start."""
    repeating: int = 0
    """Jobs that wait for their repeat, or are repeated."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the job that is repeated."""


class Isolation:
    """Repeats a job once after an exception of the handler, which fails every job of a batch.

    TorchServe cannot be told to run a job alone. Repeats of a model go one at a time, so that the job that
    failed the batch meets none of its former neighbours again. The repeats add at most one job of a model to
    TorchServe's load. A job that had no company is not repeated.

    Each process of a gateway counts its own jobs: with several processes no job is known to have had no
    company, and each process repeats one job at a time.

    Args:
        routing: says which models may be asked again.
        max_isolated: jobs of a model that wait for their repeat, in all processes.
        counts: of the repeats.
        processes: of the gateway.
        next_stage: sends the job.
    """

    __slots__ = ("_counts", "_max_isolated", "_next", "_routing", "_sees_all", "_traffic")

    def __init__(
        self,
        routing: Routing,
        max_isolated: int,
        counts: IsolationCounts,
        next_stage: Stage,
        *,
        processes: int = 1,
    ) -> None:
        self._routing = routing
        self._max_isolated = -(-max_isolated // processes)
        self._sees_all = processes == 1
        self._counts = counts
        self._next = next_stage
        self._traffic: dict[str, _Traffic] = defaultdict(_Traffic)

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        """As `Stage.predict`.

        Raises:
            HandlerFailedError: of the repeat, or of the first attempt if there is none.
        """
        if not self._routing.may_repeat(job.model, job.version) or job.operation != "predict":
            return await self._next.predict(job, context)
        traffic = self._traffic[job.model]
        came_alone = self._sees_all and traffic.in_flight == 0
        number = traffic.sent + 1
        try:
            prediction = await self._sent(job, context, traffic)
            if not fails_the_batch(prediction.status, prediction.body):
                return prediction
            if (came_alone and traffic.sent == number) or not self._has_room(traffic):
                return prediction
        except HandlerFailedError:
            if (came_alone and traffic.sent == number) or not self._has_room(traffic):
                raise
        return await self._repeated(job, context, traffic)

    async def _sent(self, job: Job, context: RequestContext, traffic: _Traffic) -> Prediction:
        traffic.in_flight += 1
        traffic.sent += 1
        try:
            return await self._next.predict(job, context)
        finally:
            traffic.in_flight -= 1

    def _has_room(self, traffic: _Traffic) -> bool:
        has_room = traffic.repeating < self._max_isolated
        self._counts.results["skipped"] += not has_room
        return has_room

    async def _repeated(self, job: Job, context: RequestContext, traffic: _Traffic) -> Prediction:
        traffic.repeating += 1
        result: Result = "failed"
        try:
            async with traffic.turn:
                prediction = await self._sent(job, context, traffic)
            if not fails_the_batch(prediction.status, prediction.body):
                result = "answered"
            return prediction
        finally:
            traffic.repeating -= 1
            self._counts.results[result] += 1
