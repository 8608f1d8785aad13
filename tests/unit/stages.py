"""What tests of single stages need: a job, contexts, and a next stage that does as it is told."""

import asyncio
from time import monotonic

from tests.unit.test_deployment_record import VERSION
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.gateway.telemetry.request_context import RequestContext
from torchserve_gateway.record.record import DeployedModel, Record
from torchserve_gateway.torchserve_api.inference import Job, Prediction

JOB = Job("genre", "1.10", b"image", "image/jpeg")
ANSWER = Prediction(b'{"Horror": 1.0}', "application/json", "1.10", 0.1, "id")
Outcome = Prediction | BaseException


class NextStage:
    """Answers each job with the next outcome, the last one again and again, while `go` is set."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.jobs: list[Job] = []
        self.contexts: list[RequestContext] = []
        self.go = asyncio.Event()
        self.go.set()
        self._outcomes = list(outcomes or [ANSWER])

    async def predict(self, job: Job, context: RequestContext) -> Prediction:
        self.jobs.append(job)
        self.contexts.append(context)
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        await self.go.wait()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def context(left_s: float = 60, requested: str | None = None, cache_control: str = "") -> RequestContext:
    """A request's context. requested: the version that the client named."""
    made = RequestContext("id", cache_control=cache_control, deadline=monotonic() + left_s, routing_key="key")
    made.ask_for(requested)
    return made


def routing(**model: object) -> Routing:
    """Version 1.10 of genre serves."""
    followed = Routing()
    followed.record = Record(revision=1, models={"genre": DeployedModel(serving=VERSION, **model)})  # type: ignore[arg-type]
    return followed


async def ticks() -> None:
    """Lets every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)
